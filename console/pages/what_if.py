"""What a draft would have done to recorded traffic: run it, see how far it is, cancel it, read what came of it."""

import re
from html import escape, unescape

from aiohttp import web

from config.lifecycle import Draft
from console.desk import DESK, author_of
from console.guard import Page
from console.pages.writes import field
from console.render import page, translate
from console.trials import TrialError
from whatif.tables import tables, window
from whatif.told import MOST_DAYS

#: Of how many days traffic is read from Kafka, unless somebody wants another number.
DAYS = 30
_PATH = "/configuration/drafts/{draft}/what-if"


def draft_of(request: web.Request) -> Draft:
    """The open draft that the address names."""
    draft = request.app[DESK].follower.state.drafts.get(request.match_info["draft"])
    if draft is None:
        raise web.HTTPNotFound
    return draft


async def show(request: web.Request) -> web.Response:
    """The result for the draft as it is now, or how far it is."""
    return await _show(request)


async def progress(request: web.Request) -> web.Response:
    """How far it is, as JSON."""
    running = request.app[DESK].trials.running(draft_of(request).revision.sha256)
    if running is None:
        return web.json_response({"running": False})
    return web.json_response({"running": True, "step": running.step, "done": running.done, "total": running.total})


async def plot(request: web.Request) -> web.Response:
    """A plot of the result."""
    trial = await request.app[DESK].trials.result(draft_of(request).revision.sha256)
    number = int(request.match_info["number"])
    if trial is None or number >= len(trial.plots):
        raise web.HTTPNotFound
    say = translate(request)
    drawn = re.sub(r"(?<=>)[^<>]+(?=</text>)", lambda text: escape(say(unescape(text[0]))), trial.plots[number][1])
    return web.Response(text=drawn, content_type="image/svg+xml")


async def act(request: web.Request) -> web.Response:
    """Run it, or cancel it."""
    draft, trials, author = draft_of(request), request.app[DESK].trials, author_of(request)
    if request.match_info["what"] == "cancel":
        await trials.cancel(draft.revision.sha256, author)
    else:
        days = await field(request, "days")
        number = int(days) if days.isdecimal() else 0
        if trials.from_kafka and not 1 <= number <= MOST_DAYS:
            return await _show(request, "Days are a whole number from 1 to 3650.", status=400)
        try:
            trials.start(draft, author, number)
        except TrialError as error:
            return await _show(request, str(error))
    raise web.HTTPSeeOther(f"/configuration/drafts/{draft.id}/what-if")


async def _show(request: web.Request, error: str = "", status: int = 409) -> web.Response:
    draft, trials = draft_of(request), request.app[DESK].trials
    trial = await trials.result(draft.revision.sha256)
    return page(
        request,
        "what_if.html",
        status=status if error else 200,
        error=error,
        draft=draft,
        running=trials.running(draft.revision.sha256),
        trial=trial,
        tables=[] if trial is None or trial.report is None else tables(trial.report),
        window=[] if trial is None or trial.report is None else window(trial.report),
        from_kafka=trials.from_kafka,
        days=DAYS,
        most_days=MOST_DAYS,
    )


PAGES = (
    Page("GET", _PATH, "viewer", show),
    Page("GET", _PATH + "/progress", "viewer", progress),
    Page("GET", _PATH + "/plots/{number:[0-9]}.svg", "viewer", plot),
    Page("POST", _PATH + "/{what:run|cancel}", "editor", act, also="approver"),
)
