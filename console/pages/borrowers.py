"""One borrower's past, and one drawdown's decisions."""

from typing import Any

import msgspec
from aiohttp import web

from config.rotation import Revision
from console.board import Event
from console.desk import DESK
from console.guard import Page
from console.render import page
from console.supposed import Supposed, suppose
from rotation.outputs import Decision
from rotation.rules import meanings

_NEWEST = 20


async def borrowers(request: web.Request) -> web.Response:
    """A borrower's timeline; without an id, whom to look for."""
    board = request.app[DESK].board
    customer_id = request.query.get("id", "").strip()
    events = await board.timeline(customer_id) if customer_id else []
    return page(
        request,
        "borrowers.html",
        status=404 if customer_id and not events else 200,
        customer_id=customer_id,
        events=events,
        newest=[] if events else await board.borrowers(_NEWEST),
    )


async def decisions(request: web.Request) -> web.Response:
    """A drawdown's decisions, each with what every funder's part in it was."""
    desk = request.app[DESK]
    drawdown_id = request.query.get("id", "").strip()
    customer_id = await desk.board.borrower_of(drawdown_id) if drawdown_id else None
    events = [] if customer_id is None else await desk.board.timeline(customer_id)
    found = [
        msgspec.convert(event.says, Decision)
        for event in reversed(events)
        if event.topic == "routing-decisions" and event.says["drawdown_id"] == drawdown_id
    ]
    revisions = desk.follower.state.revisions
    return page(
        request,
        "decisions.html",
        status=404 if drawdown_id and not found else 200,
        drawdown_id=drawdown_id,
        decisions=[_shown(each, revisions.get(each.config_revision), events) for each in found],
        means=meanings(),
        newest=[] if found else await desk.board.drawdowns(_NEWEST),
    )


def _shown(decision: Decision, revision: Revision | None, events: list[Event]) -> dict[str, Any]:
    supposed: list[Supposed] = []
    configured = None
    if revision is not None:
        supposed = suppose(decision, revision.config, events)
        configured = revision.config.rotation.never_last
    return {"decision": decision, "supposed": supposed, "never_last": configured and configured.n}


PAGES = (Page("GET", "/borrowers", "viewer", borrowers), Page("GET", "/decisions", "viewer", decisions))
