"""Templates to answers, in the reader's language."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from console.desk import visit_of
from console.texts import LANGUAGES, Language, preferred, translator

LANGUAGE_COOKIE = "loanrouter-language"
_SHANGHAI = timezone(timedelta(hours=8))


def shanghai(at: str | int | datetime) -> str:
    """A time (RFC 3339, ms or aware) as people in Shanghai read it."""
    if isinstance(at, int):
        at = datetime.fromtimestamp(at / 1000, _SHANGHAI)
    elif isinstance(at, str):
        at = datetime.fromisoformat(at)
    return at.astimezone(_SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def in_shanghai(text: str) -> datetime:
    """The time that a form's field for one holds, of a Shanghai clock; raises `ValueError`."""
    return datetime.fromisoformat(text).replace(tzinfo=_SHANGHAI)


def yuan(fen: int) -> str:
    """An amount (fen) in yuan."""
    return f"{fen / 100:,.2f}".removesuffix(".00")


def whole(number: int) -> str:
    """A number with commas."""
    return f"{number:,}"


def percent(part: float) -> str:
    """A part of one as a percentage."""
    return f"{part:.1%}"


_environment = Environment(
    loader=PackageLoader("console"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {"shanghai": shanghai, "yuan": yuan, "whole": whole, "percent": percent}


def language_of(request: web.Request) -> Language:
    """The language that the reader chose, or that the browser asks for."""
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    for language in LANGUAGES:
        if chosen == language:
            return language
    return preferred(request.headers.get("Accept-Language", ""))


def translate(request: web.Request) -> Callable[[str], str]:
    """Gives texts in the reader's language."""
    return translator(language_of(request))


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """The page that a template makes of the values."""
    visit = visit_of(request)
    text = _environment.get_template(template).render(
        _=translate(request),
        language=language_of(request),
        languages=LANGUAGES,
        here=_here(request),
        user=visit and visit.user,
        csrf=visit.csrf if visit is not None else "",
        **values,
    )
    return web.Response(text=text, content_type="text/html", status=status)


def _here(request: web.Request) -> str:
    """The page that the reader is on: an answer to a form stands on the form's page."""
    if request.method == "GET":
        return request.path_qs
    page_before = urlsplit(request.headers.get("Referer", "/"))
    return f"{page_before.path or '/'}?{page_before.query}".removesuffix("?")


def problem(request: web.Request, status: int, words: str, *, role: str = "") -> web.Response:
    """A page that says what went wrong; to a program in plain text."""
    if "text/html" not in request.headers.get("Accept", ""):
        return web.Response(status=status, text=words)
    said = translate(request)("This takes another role:") + f" {role}" if role else translate(request)(words)
    return page(request, "problem.html", status=status, words=said)
