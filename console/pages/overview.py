"""The first page: what flows where, how full the quotas are, and what has changed."""

from collections.abc import Mapping
from time import time
from typing import Any

from aiohttp import web

from config.rotation import Revision
from console.desk import DESK, Desk
from console.guard import Page
from console.ledgers import TopShare, ledger, top_share
from console.render import page
from rotation.clock import MINUTE, shanghai_day
from rotation.events import millis
from rotation.outputs import FunderState
from rotation.policy import Policy
from rotation.reservations import Usage
from streams.reservations import BookUnavailable, NeedsRestore

MINUTES_SHOWN = 60
_ALERTS_SHOWN = 10
_BORROWERS_LOOKED_AT = 200
NORMAL = FunderState("", {}, "normal", 1.0, "", "", 0)


async def overview(request: web.Request) -> web.Response:
    """The figures, and the script that keeps them up to date."""
    desk = request.app[DESK]
    active = desk.follower.state.active
    cap = None if active is None else active.config.rotation.max_share
    return page(
        request,
        "overview.html",
        **await _figures(desk),
        cap=cap,
        top=await _top_share(desk),
        alerts=(await desk.board.alerts())[:_ALERTS_SHOWN],
        changes=_changes(desk)[-_ALERTS_SHOWN:][::-1],
        minutes_shown=MINUTES_SHOWN,
    )


async def live(request: web.Request) -> web.Response:
    """The same figures for the script, as JSON."""
    return web.json_response(await _figures(request.app[DESK]))


async def _figures(desk: Desk) -> dict[str, Any]:
    now = int(time() * 1000) if desk.settings.clock == "wall" else None
    minutes = await desk.board.flow(MINUTES_SHOWN, now)
    since = minutes[0].at
    routed = {
        id_: sum(minute.funders.get(id_, 0) for minute in minutes) for minute in minutes for id_ in minute.funders
    }
    revision, states = desk.follower.state.active, await desk.board.states()
    used = {} if revision is None else await _usage(desk, revision, minutes[-1].at + MINUTE - 1)
    total = sum(routed.values())
    return {
        "minutes": [minute._asdict() for minute in minutes],
        "markers": [change for change in _changes(desk) if since <= change["at"] < minutes[-1].at + MINUTE],
        "totals": {
            "routed": total,
            "held": sum(minute.held for minute in minutes),
            "rejected": sum(minute.rejected for minute in minutes),
            "relaxed": sum(minute.relaxed for minute in minutes),
        },
        "funders": [] if revision is None else _rows(revision, states, routed, used),
        "revision": None if revision is None else revision.id,
    }


def _rows(
    revision: Revision, states: dict[str, FunderState], routed: Mapping[str, int], used: dict[str, Usage]
) -> list[dict[str, Any]]:
    total = sum(routed.values())
    rows = []
    for funder in revision.config.funders:
        state, usage = states.get(funder.id, NORMAL), used.get(funder.id)
        rows.append(
            {
                "id": funder.id,
                "name": funder.name,
                "status": funder.status,
                "state": state.state,
                "routed": routed.get(funder.id, 0),
                "share": routed.get(funder.id, 0) / total if total else None,
                "amount": None if usage is None else usage.amount,
                "count": None if usage is None else usage.count,
                "daily_amount": funder.quota.daily_amount,
                "daily_count": funder.quota.daily_count,
            }
        )
    return rows


async def _top_share(desk: Desk) -> TopShare | None:
    """What top funders hold, over the borrowers of the newest events."""
    active = desk.follower.state.active
    if active is None or active.config.rotation.max_share is None:
        return None
    known = await desk.board.timelines(await desk.board.borrowers(_BORROWERS_LOOKED_AT))
    now = max((events[0].at for events in known if events), default=0)
    return top_share((ledger(events, active.config, at=now) for events in known), active.config.rotation.max_share)


async def _usage(desk: Desk, revision: Revision, now: int) -> dict[str, Usage]:
    """What each funder's quota of the day holds; nothing while the reservation book cannot tell."""
    try:
        return await desk.book.usage(shanghai_day(now), now, Policy(revision, {}, -1).limits)
    except (BookUnavailable, NeedsRestore):
        return {}


def _changes(desk: Desk) -> list[dict[str, Any]]:
    """Each revision that became active, for all: when (ms), which, by whom and why."""
    state = desk.follower.state
    active = {revision.id for revision in state.past}
    return [
        {
            "at": millis(state.timed[id_].since if id_ in state.timed else entry.record.occurred_at),
            "revision": entry.revision,
            "kind": entry.record.kind,
            "author": entry.record.author,
            "reason": entry.record.reason,
        }
        for entry in desk.follower.entries
        if (id_ := entry.revision) in active and entry.record is not None
    ]


PAGES = (Page("GET", "/", "viewer", overview), Page("GET", "/live", "viewer", live))
