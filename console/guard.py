"""What stands before every page: login, role, the CSRF token of a write, and the headers of every answer."""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from aiohttp import web

from console.desk import DESK, remember
from console.people import PeopleError, Role
from console.render import problem
from console.sessions import Visit

log = logging.getLogger("loanrouter.console")

COOKIE = "loanrouter-session"
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"
_BEGUN = "session-begun"
LOGIN, PASSWORD = "/login", "/password"  # paths

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Page(NamedTuple):
    """A page or a write, and the role it takes; None for what may be seen without login.

    A user with the role `also` may use it too. With `first` it may be reached with a password that has to be changed
    first, with `by_token` also by a program with a user's token.
    """

    method: Literal["GET", "POST"]
    path: str
    role: Role | None
    handler: Handler
    first: bool = False
    also: Role | None = None
    by_token: bool = False


def guarded(page: Page) -> Handler:
    """The page's handler behind all that has to be checked before it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if _from_elsewhere(request):
            return problem(request, 403, "This request comes from another site.")
        if page.role is None:
            return await page.handler(request)
        if "Authorization" in request.headers:
            return await _by_token(request, page)
        visit = await _visit(request)
        if visit is None:
            if page.by_token:
                return problem(request, 401, "Log in first, or come with a token.")
            if page.method == "GET":
                raise web.HTTPSeeOther(f"{LOGIN}?next={quote(request.path_qs)}")
            return problem(request, 401, "Nothing has changed: log in first.")
        remember(request, visit)
        if visit.user.must_change and not page.first:
            raise web.HTTPSeeOther(PASSWORD)
        if page.method == "POST" and not await _has_token(request, visit):
            return problem(request, 403, "Nothing has changed: the page was out of date. Open it again and retry.")
        if not visit.user.may(page.role) and not (page.also and visit.user.may(page.also)):
            return problem(request, 403, f"This takes the role {page.role}.", role=page.role)
        return await page.handler(request)

    return handle


async def _by_token(request: web.Request, page: Page) -> web.StreamResponse:
    """The answer to a program. A browser never sends this header by itself, so no CSRF token is needed."""
    kind, _, token = request.headers["Authorization"].partition(" ")
    user = await request.app[DESK].tokens.user(token.strip()) if kind.lower() == "bearer" else None
    if user is None:
        return problem(request, 401, "This token is none, or it has ended.")
    if not page.by_token or not user.may(page.role or "viewer"):
        return problem(request, 403, "This page is not for tokens.")
    remember(request, Visit(user, csrf=""))
    return await page.handler(request)


async def _visit(request: web.Request) -> Visit | None:
    """Who asks: the session's user, or whom a proxy that is believed names, for whom a session is begun."""
    desk = request.app[DESK]
    visit = await desk.sessions.visit(request.cookies.get(COOKIE, ""))
    settings = desk.settings
    named = request.headers.get(settings.console_proxy_user, "").strip().lower() if settings.console_proxy_user else ""
    if not named or request.remote not in settings.console_proxy_from:
        return visit
    roles = None
    if settings.console_proxy_roles:
        roles = re.split(r"[,;\s]+", request.headers.get(settings.console_proxy_roles, ""))
    try:
        user = await desk.people.introduced(named, roles)
    except PeopleError as error:
        log.warning("refused whom the proxy at %s names: %s", request.remote, error)
        return None
    if visit is not None and visit.user.name == user.name:
        return visit._replace(user=user)
    log.info("%s logged in by the proxy at %s", user.name, request.remote)
    token = await desk.sessions.begin(user)
    request[_BEGUN] = token
    return await desk.sessions.visit(token)


def own_path(text: str) -> str:
    """A path to go on to, if it is one of ours; else the first page."""
    return text if text.startswith("/") and not text.startswith("//") and "\\" not in text else "/"


def set_cookie(request: web.Request, answer: web.StreamResponse, name: str, value: str, **more: Any) -> None:
    """A cookie for this site alone; kept off plain HTTP where a proxy says that it is reached by TLS."""
    secure = request.secure or request.headers.get("X-Forwarded-Proto") == "https"
    answer.set_cookie(name, value, httponly=True, samesite="Strict", secure=secure, path="/", **more)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers of every answer, and the cookie of a session begun for it; pages are kept by no cache."""
    if (token := request.get(_BEGUN)) is not None:
        set_cookie(request, response, COOKIE, token)
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _from_elsewhere(request: web.Request) -> bool:
    """Whether a browser says that a write was made by a page that is not ours."""
    return request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"


async def _has_token(request: web.Request, visit: Visit) -> bool:
    given = request.headers.get(CSRF_HEADER) or (await request.post()).get(CSRF_FIELD)
    return isinstance(given, str) and visit.wrote(given)
