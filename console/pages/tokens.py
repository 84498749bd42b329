"""One's own tokens: what there are, a new one, the end of one."""

import logging

from aiohttp import web

from console.desk import DESK, user_of
from console.guard import Page
from console.render import page
from console.tokens import LONGEST_DAYS, TokenError

log = logging.getLogger("loanrouter.console")


async def show(request: web.Request) -> web.Response:
    """One's tokens."""
    return await _show(request)


async def change(request: web.Request) -> web.Response:
    """Make one, or revoke one."""
    tokens, user = request.app[DESK].tokens, user_of(request)
    form = await request.post()
    if request.match_info["what"] == "revoke":
        revoked = await tokens.revoke(user, str(form.get("token", "")))
        if revoked is not None:
            log.info("%s revoked the token %s (%s)", user.name, revoked.id, revoked.label)
        raise web.HTTPSeeOther("/tokens")
    label, days = str(form.get("label", "")).strip(), str(form.get("days", ""))
    roles = [str(role) for role in form.getall("roles", [])]
    try:
        made = await tokens.make(user, label, roles, int(days) if days.isdecimal() else 0)
    except TokenError as error:
        return await _show(request, error=str(error), status=400)
    log.info("%s made a token with the roles %s for %s days: %s", user.name, ",".join(roles) or "viewer", days, label)
    return await _show(request, made=made)


async def _show(request: web.Request, *, error: str = "", made: str = "", status: int = 200) -> web.Response:
    user = user_of(request)
    tokens = await request.app[DESK].tokens.of(user)
    roles = sorted(user.roles - {"admin"})  # the users are kept on pages alone
    return page(
        request,
        "tokens.html",
        status=status,
        error=error,
        made=made,
        tokens=[(token, int(token.made_at * 1000), int(token.until * 1000)) for token in tokens],
        roles=roles,
        longest=LONGEST_DAYS,
    )


PAGES = (
    Page("GET", "/tokens", "viewer", show),
    Page("POST", "/tokens/{what:make|revoke}", "viewer", change),
)
