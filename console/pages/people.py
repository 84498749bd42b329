"""Log in and out, one's own password, the language, and the users."""

import logging

from aiohttp import web

from console.desk import DESK, author_of, user_of
from console.guard import COOKIE, LOGIN, Page, own_path, set_cookie
from console.people import ROLES, SHORTEST_PASSWORD, PeopleError
from console.render import LANGUAGE_COOKIE, page
from console.texts import LANGUAGES

log = logging.getLogger("loanrouter.console")

_YEAR_SECONDS = 365 * 24 * 3600
_WRONG = "Name or password is wrong."
_TOO_OFTEN = "Too many attempts; wait a quarter of an hour."


async def login_page(request: web.Request) -> web.Response:
    """Where one logs in."""
    return page(request, "login.html", error="", name="", next=own_path(request.query.get("next", "/")))


async def login(request: web.Request) -> web.Response:
    """Begin a session for who knows the password."""
    desk = request.app[DESK]
    form = await request.post()
    name, following = str(form.get("name", "")).strip(), own_path(str(form.get("next", "/")))
    if not await desk.sessions.may_try(name, request.remote or ""):
        log.warning("refused a login as %r from %s: too many attempts", name, request.remote)
        return page(request, "login.html", status=429, error=_TOO_OFTEN, name=name, next=following)
    user = await desk.people.verified(name, str(form.get("password", "")))
    if user is None:
        log.warning("refused a login as %r from %s", name, request.remote)
        return page(request, "login.html", status=403, error=_WRONG, name=name, next=following)
    await desk.sessions.succeeded(name, request.remote or "")
    log.info("%s logged in from %s", name, request.remote)
    answer = web.HTTPSeeOther(following)
    set_cookie(request, answer, COOKIE, await desk.sessions.begin(user))
    raise answer


async def logout(request: web.Request) -> web.Response:
    """End the session."""
    await request.app[DESK].sessions.end(request.cookies.get(COOKIE, ""))
    answer = web.HTTPSeeOther(LOGIN)
    answer.del_cookie(COOKIE)
    raise answer


async def language(request: web.Request) -> web.Response:
    """Choose a language, and go back."""
    answer = web.HTTPSeeOther(own_path(request.query.get("next", "/")))
    chosen = request.match_info["language"]
    if chosen in LANGUAGES:
        set_cookie(request, answer, LANGUAGE_COOKIE, chosen, max_age=_YEAR_SECONDS)
    raise answer


async def password_page(request: web.Request) -> web.Response:
    """Where one chooses a password."""
    return _password_page(request)


async def password(request: web.Request) -> web.Response:
    """Choose a password of one's own; every session of the user ends."""
    desk, name = request.app[DESK], author_of(request)
    form = await request.post()
    chosen = str(form.get("new", ""))
    if chosen != form.get("again"):
        return _password_page(request, "The two new passwords differ.")
    if not await desk.sessions.may_try(name, request.remote or ""):
        return _password_page(request, _TOO_OFTEN, status=429)
    if await desk.people.verified(name, str(form.get("old", ""))) is None:
        return _password_page(request, "The old password is wrong.")
    try:
        await desk.people.set_password(name, chosen)
    except PeopleError as error:
        return _password_page(request, str(error))
    await desk.sessions.succeeded(name, request.remote or "")
    log.info("%s chose a new password", name)
    raise web.HTTPSeeOther(LOGIN)


async def people_page(request: web.Request) -> web.Response:
    """The users."""
    return await _people_page(request)


async def change(request: web.Request) -> web.Response:
    """Add a user, give one other roles or a one-time password, or take one out."""
    desk, by = request.app[DESK], author_of(request)
    form = await request.post()
    name, reason = str(form.get("name", "")).strip(), str(form.get("reason", "")).strip()
    what, roles = str(form.get("what", "")), [str(role) for role in form.getall("roles", [])]
    if not reason:
        return await _people_page(request, error="Say why.", status=400)
    given = ""
    try:
        match what:
            case "add":
                given = await desk.people.add(name, roles)
            case "roles":
                await desk.people.set_roles(name, roles)
            case "password":
                given = await desk.people.reset_password(name)
            case "remove":
                await desk.people.remove(name)
            case _:
                return await _people_page(request, error="No such change.", status=400)
    except PeopleError as error:
        return await _people_page(request, error=str(error), status=409)
    log.info("%s: %s %s %s: %s", by, what, name, ",".join(roles), reason)
    return await _people_page(request, name=name, given=given)


async def _people_page(
    request: web.Request, *, error: str = "", name: str = "", given: str = "", status: int = 200
) -> web.Response:
    users = await request.app[DESK].people.all()
    return page(
        request, "people.html", status=status, users=users, roles=ROLES, error=error, changed=name, one_time=given
    )


def _password_page(request: web.Request, error: str = "", status: int = 400) -> web.Response:
    return page(
        request,
        "password.html",
        status=status if error else 200,
        error=error,
        first=user_of(request).must_change,
        shortest=SHORTEST_PASSWORD,
    )


PAGES = (
    Page("GET", LOGIN, None, login_page),
    Page("POST", LOGIN, None, login),
    Page("GET", "/language/{language}", None, language),
    Page("POST", "/logout", "viewer", logout, first=True),
    Page("GET", "/password", "viewer", password_page, first=True),
    Page("POST", "/password", "viewer", password, first=True),
    Page("GET", "/people", "admin", people_page),
    Page("POST", "/people", "admin", change),
)
