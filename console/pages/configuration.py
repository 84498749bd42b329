"""The rotation configuration: what is active, drafts and their way to become active, and the history."""

from typing import Any

from aiohttp import web

from config.changes import activation, approval, proposal, rollback
from config.difference import differences
from config.lifecycle import Lifecycle
from config.load import load_document
from config.problems import ConfigError
from config.records import Proposal, Record, RotationSwitch, Withdrawal
from config.revisions import first_revision
from config.switches import rotates
from config.written import yaml_text
from console.desk import DESK
from console.guard import Page
from console.pages.writes import NotWritten, field, moment, put, signature, steps
from console.render import page

_SOURCE = "draft"
_NEWEST = 50


async def configuration(request: web.Request) -> web.Response:
    """What is active, the open drafts, and everything that was done."""
    return _configuration_page(request)


async def revision_page(request: web.Request) -> web.Response:
    """One revision: its content, and what it changed."""
    found = request.app[DESK].follower.state.revisions.get(int(request.match_info["revision"]))
    if found is None:
        raise web.HTTPNotFound
    state = request.app[DESK].follower.state
    before = next((each for each in reversed(state.past) if each.id < found.id), None)
    return page(
        request,
        "revision.html",
        revision=found,
        timed=state.timed.get(found.id),
        void=found.id in state.void,
        text=yaml_text(found),
        changes=[] if before is None else differences(before, found),
    )


async def edit(request: web.Request) -> web.Response:
    """The editor: on the active revision, or on an open draft."""
    state = request.app[DESK].follower.state
    draft = state.drafts.get(request.query.get("draft", ""))
    if state.active is None or (draft is None and "draft" in request.query):
        raise web.HTTPNotFound
    anew = draft is None or "anew" in request.query
    source = state.active if draft is None or anew else draft.revision
    return _editor(
        request,
        text=yaml_text(source),
        base=state.active.id if draft is None or anew else draft.base,
        draft="" if draft is None else draft.id,
        seen="" if draft is None else draft.revision.sha256,
        reason="" if draft is None else draft.reason,
    )


async def check(request: web.Request) -> web.Response:
    """What is wrong with a text, and what it would change, as JSON."""
    active = request.app[DESK].follower.state.active
    try:
        proposed = first_revision(load_document(str((await request.post()).get("text", "")), _SOURCE))
    except ConfigError as error:
        return web.json_response({"problems": [problem._asdict() for problem in error.problems], "changes": []})
    changes = [] if active is None else [str(each) for each in differences(active, proposed)]
    return web.json_response({"problems": [], "changes": changes})


async def propose(request: web.Request) -> web.Response:
    """Propose the editor's text as a draft; with problems it comes back with them."""
    form = await request.post()
    text, base = str(form.get("text", "")), await field(request, "base")
    draft, seen, reason = [await field(request, name) for name in ("draft", "seen", "reason")]
    again: dict[str, Any] = {"text": text, "base": base, "draft": draft, "seen": seen, "reason": reason}
    try:
        signed = await signature(request)
        proposed = first_revision(load_document(text, _SOURCE))
    except NotWritten as error:
        return _editor(request, **again, error=str(error), status=400)
    except ConfigError as error:
        return _editor(request, **again, problems=error.problems, status=422)

    def make(state: Lifecycle) -> Proposal:
        on = int(base) if base.isdecimal() else None
        return proposal(state, proposed, signed, draft=draft or None, base=on, replaces=seen)

    try:
        result = await put(request, make)
    except NotWritten as error:
        return _editor(request, **again, error=str(error), status=409)
    record = result.entry.record
    raise web.HTTPSeeOther(f"/configuration/drafts/{record.draft if isinstance(record, Proposal) else draft}")


async def draft_page(request: web.Request) -> web.Response:
    """One open draft, and what may be done with it."""
    return _draft_page(request)


async def act(request: web.Request) -> web.Response:
    """Approve or activate a draft as it was seen, now or at a time of Shanghai, or withdraw it."""
    draft, what = request.match_info["draft"], request.match_info["what"]
    try:
        signed = await signature(request, needs_reason=what == "withdraw")
        seen, at, ramp = await field(request, "seen"), await moment(request), await steps(request)

        def make(state: Lifecycle) -> Record:
            if what == "withdraw":
                return Withdrawal(**signed.fields(), draft=draft)
            if what == "approve":
                return approval(state, draft, signed, sha256=seen)
            return activation(state, draft, signed, sha256=seen, at=at, ramp=ramp)

        await put(request, make)
    except NotWritten as error:
        return _draft_page(request, str(error))
    raise web.HTTPSeeOther("/configuration" if what != "approve" else f"/configuration/drafts/{draft}")


async def go_back(request: web.Request) -> web.Response:
    """Make the content of an earlier revision the next one."""
    try:
        to, signed = await field(request, "to"), await signature(request)
        await put(request, lambda state: rollback(state, signed, int(to) if to.isdecimal() else None))
    except NotWritten as error:
        return _configuration_page(request, str(error))
    raise web.HTTPSeeOther("/configuration")


async def switch(request: web.Request) -> web.Response:
    """Rotation off, or on again."""
    off = request.match_info["position"] == "off"
    try:
        signed = await signature(request)
        await put(request, lambda _: RotationSwitch(kind="rotation_off" if off else "rotation_on", **signed.fields()))
    except NotWritten as error:
        return _configuration_page(request, str(error))
    raise web.HTTPSeeOther("/configuration")


def _editor(
    request: web.Request, *, error: str = "", problems: Any = (), status: int = 200, **values: Any
) -> web.Response:
    return page(request, "editor.html", status=status, error=error, problems=problems, **values)


def _draft_page(request: web.Request, error: str = "") -> web.Response:
    state = request.app[DESK].follower.state
    draft = state.drafts.get(request.match_info["draft"])
    if draft is None:
        raise web.HTTPNotFound
    base = state.revisions[draft.base]
    return page(
        request,
        "draft.html",
        status=409 if error else 200,
        error=error,
        draft=draft,
        moved=state.active is None or draft.base != state.active.id,
        scheduled=state.scheduled if state.scheduled is not None and state.scheduled.draft == draft.id else None,
        changes=differences(base, draft.revision),
        text=yaml_text(draft.revision),
    )


def _configuration_page(request: web.Request, error: str = "") -> web.Response:
    follower = request.app[DESK].follower
    active = follower.state.active
    shown = len(follower.entries) if "all" in request.query else _NEWEST
    return page(
        request,
        "configuration.html",
        status=409 if error else 200,
        error=error,
        active=active,
        text="" if active is None else yaml_text(active),
        rotates=active is not None and rotates(active),
        drafts=list(follower.state.drafts.values()),
        scheduled=follower.state.scheduled,
        entries=[(entry, _subject(entry.record)) for entry in reversed(follower.entries[-shown:])],
        more=len(follower.entries) > shown,
        earlier=[revision.id for revision in reversed(follower.state.past[:-1])],
    )


def _subject(record: Record | None) -> str:
    """The draft, the funder or the revision that a record is about."""
    return next((str(getattr(record, name)) for name in ("draft", "funder_id", "to") if hasattr(record, name)), "")


PAGES = (
    Page("GET", "/configuration", "viewer", configuration),
    Page("GET", "/configuration/revisions/{revision:[0-9]{1,9}}", "viewer", revision_page),
    Page("GET", "/configuration/edit", "editor", edit),
    Page("POST", "/configuration/check", "editor", check),
    Page("POST", "/configuration/propose", "editor", propose),
    Page("GET", "/configuration/drafts/{draft}", "viewer", draft_page),
    Page("POST", "/configuration/drafts/{draft}/{what:approve}", "approver", act),
    Page("POST", "/configuration/drafts/{draft}/{what:withdraw}", "editor", act),
    Page("POST", "/configuration/drafts/{draft}/{what:activate}", "operator", act),
    Page("POST", "/configuration/rollback", "operator", go_back),
    Page("POST", "/configuration/rotation/{position:off|on}", "operator", switch),
)
