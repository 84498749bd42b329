"""What a draft decided in the shadow of the active revision, as far as `loanrouter shadow` has come."""

from aiohttp import web

from console.desk import DESK
from console.guard import Page
from console.pages.what_if import draft_of
from console.render import page
from whatif.shadow_told import KINDS, tables


async def show(request: web.Request) -> web.Response:
    """What the last shadow of the draft as it is now has seen."""
    draft = draft_of(request)
    watch = await request.app[DESK].shadows.of(draft.revision.sha256)
    return page(
        request,
        "shadow.html",
        draft=draft,
        watch=watch,
        kinds=KINDS,
        tables=[] if watch is None else tables(watch.seen),
        differing=[] if watch is None else watch.seen.differing[::-1],
    )


PAGES = (Page("GET", "/configuration/drafts/{draft}/shadow", "viewer", show),)
