"""The funders: where each stands and why, and the switch that pauses one."""

from typing import Any, Literal

from aiohttp import web

from config.records import FunderSwitch
from config.rotation import Revision
from console.desk import DESK
from console.guard import Page
from console.pages.overview import NORMAL
from console.pages.writes import NotWritten, put, signature
from console.render import page


async def funders(request: web.Request) -> web.Response:
    """All funders."""
    desk = request.app[DESK]
    states = await desk.board.states()
    return page(
        request,
        "funders.html",
        funders=[
            {"config": funder, "state": states.get(funder.id, NORMAL)}
            for funder in _configured(desk.follower.state.active)
        ],
    )


async def funder(request: web.Request) -> web.Response:
    """One funder."""
    return await _funder_page(request)


async def switch(request: web.Request) -> web.Response:
    """Pause or resume a funder, with a reason."""
    funder_id = request.match_info["funder"]
    kind: Literal["pause", "resume"] = "pause" if request.match_info["switch"] == "pause" else "resume"
    try:
        signed = await signature(request)
        await put(request, lambda state: FunderSwitch(kind=kind, **signed.fields(), funder_id=funder_id))
    except NotWritten as error:
        return await _funder_page(request, str(error))
    raise web.HTTPSeeOther(f"/funders/{funder_id}")


async def _funder_page(request: web.Request, error: str = "") -> web.Response:
    desk = request.app[DESK]
    funder_id = request.match_info["funder"]
    found: Any = next((each for each in _configured(desk.follower.state.active) if each.id == funder_id), None)
    if found is None:
        raise web.HTTPNotFound
    return page(
        request,
        "funder.html",
        status=409 if error else 200,
        error=error,
        funder=found,
        state=(await desk.board.states()).get(funder_id, NORMAL),
        alerts=[alert for alert in await desk.board.alerts() if alert.funder_id == funder_id],
        switched=[
            entry.record
            for entry in reversed(desk.follower.entries)
            if isinstance(entry.record, FunderSwitch) and entry.record.funder_id == funder_id and entry.revision
        ],
    )


def _configured(revision: Revision | None) -> list[Any]:
    return [] if revision is None else list(revision.config.funders)


PAGES = (
    Page("GET", "/funders", "viewer", funders),
    Page("GET", "/funders/{funder}", "viewer", funder),
    Page("POST", "/funders/{funder}/{switch:pause|resume}", "operator", switch),
)
