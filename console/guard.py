"""What stands before every page: login, role, the CSRF token of a write, and the headers of every answer."""

from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple
from urllib.parse import quote

from aiohttp import web

from console.desk import DESK, remember
from console.people import Role
from console.render import problem
from console.sessions import Visit

COOKIE = "loanrouter-session"
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"
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
    first.
    """

    method: Literal["GET", "POST"]
    path: str
    role: Role | None
    handler: Handler
    first: bool = False
    also: Role | None = None


def guarded(page: Page) -> Handler:
    """The page's handler behind all that has to be checked before it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if _from_elsewhere(request):
            return problem(request, 403, "This request comes from another site.")
        if page.role is None:
            return await page.handler(request)
        visit = await request.app[DESK].sessions.visit(request.cookies.get(COOKIE, ""))
        if visit is None:
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


def own_path(text: str) -> str:
    """A path to go on to, if it is one of ours; else the first page."""
    return text if text.startswith("/") and not text.startswith("//") and "\\" not in text else "/"


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Set the headers of every answer; pages are kept by no cache."""
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _from_elsewhere(request: web.Request) -> bool:
    """Whether a browser says that a write was made by a page that is not ours."""
    return request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin"


async def _has_token(request: web.Request, visit: Visit) -> bool:
    given = request.headers.get(CSRF_HEADER) or (await request.post()).get(CSRF_FIELD)
    return isinstance(given, str) and visit.wrote(given)
