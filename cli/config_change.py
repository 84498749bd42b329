"""`loanrouter config propose` and the other verbs that write to the log of configuration changes."""

import getpass
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import click

from cli.config_log import Written, append, read_log
from cli.kafka import ask
from cli.main import settings_from_env
from config.difference import differences
from config.document import read_json
from config.lifecycle import Draft, Lifecycle, advance
from config.load import load_file
from config.problems import ConfigError
from config.records import (
    Activation,
    Approval,
    FunderSwitch,
    Proposal,
    Record,
    Rollback,
    RotationSwitch,
    Withdrawal,
    encode,
)
from config.revisions import first_revision
from config.rotation import Revision


class _Signature(NamedTuple):
    """Who writes a record, when, and why; without a reason it is the draft's."""

    author: str
    reason: str | None

    def fields(self, otherwise: str = "") -> dict[str, Any]:
        return {"author": self.author, "reason": self.reason or otherwise, "occurred_at": datetime.now(UTC)}


def _signed(reason_required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of every verb that writes."""
    why = "Why; it stays in the log." if reason_required else "Why; by default the draft's reason."

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--json", "as_json", is_flag=True, help="Print what came of it as a JSON object."),
            click.option("--reason", required=reason_required, callback=_not_blank, help=why),
            click.option(
                "--author",
                default=getpass.getuser,
                callback=_not_blank,
                help="Who does it; by default the user of this session.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def _not_blank(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter(f"{parameter.name} may not be blank")
    return value


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--draft", help="Id of the draft; give that of an open one to edit it. By default a new one.")
@click.option("--base", type=int, help="Revision from which FILE was made; by default what `config show` wrote in it.")
@_signed(reason_required=True)
def propose(file: Path, draft: str | None, base: int | None, author: str, reason: str, as_json: bool) -> None:
    """Propose the configuration in FILE as a draft.

    Somebody else has to approve it.

    Proposing an open draft again edits it and takes its approvals away.
    """
    try:
        proposed = first_revision(load_file(file))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    told = re.search(r"^# revision: ([0-9]+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    signature = _Signature(author, reason)

    def make(state: Lifecycle) -> Record:
        on = base or (int(told[1]) if told is not None else len(state.revisions))
        return Proposal(
            **signature.fields(),
            draft=draft or f"r{on + 1}-{proposed.sha256[:8]}",
            base=on or 1,
            config=read_json(proposed.canonical),
            config_sha256=proposed.sha256,
        )

    _write(make, as_json)


@click.command()
@click.argument("draft")
@click.option("--sha256", default="", help="Beginning of the draft's config_sha256 as you saw it.")
@_signed(reason_required=False)
def approve(draft: str, sha256: str, author: str, reason: str | None, as_json: bool) -> None:
    """Approve DRAFT as it stands; who wrote any version of it cannot.

    Look first: loanrouter config diff active DRAFT. With --sha256 an edit that came after that is not approved unseen.
    """
    _review(Approval, draft, sha256, _Signature(author, reason), as_json)


@click.command()
@click.argument("draft")
@click.option("--sha256", default="", help="Beginning of the draft's config_sha256 as you saw it.")
@_signed(reason_required=False)
def activate(draft: str, sha256: str, author: str, reason: str | None, as_json: bool) -> None:
    """Make the approved DRAFT the active revision, now.

    Refused when another revision became active since it was proposed.
    """
    _review(Activation, draft, sha256, _Signature(author, reason), as_json)


@click.command()
@click.argument("draft")
@_signed(reason_required=True)
def withdraw(draft: str, author: str, reason: str, as_json: bool) -> None:
    """Give DRAFT up."""
    _write(lambda state: Withdrawal(**_Signature(author, reason).fields(), draft=draft), as_json)


@click.command()
@click.argument("revision", type=click.IntRange(min=1), required=False)
@_signed(reason_required=True)
def rollback(revision: int | None, author: str, reason: str, as_json: bool) -> None:
    """Go back to REVISION, by default the one before the active one.

    Its content becomes a new revision at once.
    """

    def make(state: Lifecycle) -> Record:
        active = len(state.revisions)
        if revision is None and active == 1:
            raise click.ClickException("revision 1 is active: there is none before it")
        return Rollback(**_Signature(author, reason).fields(), base=active or 1, to=revision or active - 1 or 1)

    _write(make, as_json)


@click.command()
@click.argument("funder")
@_signed(reason_required=True)
def pause(funder: str, author: str, reason: str, as_json: bool) -> None:
    """Kill switch: give FUNDER no drawdown from now on."""
    switch = FunderSwitch(kind="pause", **_Signature(author, reason).fields(), funder_id=funder)
    _write(lambda state: switch, as_json)


@click.command()
@click.argument("funder")
@_signed(reason_required=True)
def resume(funder: str, author: str, reason: str, as_json: bool) -> None:
    """Undo `config pause`."""
    switch = FunderSwitch(kind="resume", **_Signature(author, reason).fields(), funder_id=funder)
    _write(lambda state: switch, as_json)


@click.command()
@click.argument("position", type=click.Choice(["off", "on"]))
@_signed(reason_required=True)
def rotation(position: str, author: str, reason: str, as_json: bool) -> None:
    """Kill switch: rotation rules off, or on again.

    While they are off, drawdowns are given by weight under the hard rules alone.
    """
    switch = RotationSwitch(
        kind="rotation_on" if position == "on" else "rotation_off", **_Signature(author, reason).fields()
    )
    _write(lambda state: switch, as_json)


VERBS = (propose, approve, activate, withdraw, rollback, pause, resume, rotation)


def _review(
    kind: type[Approval | Activation], draft_id: str, sha256: str, signature: _Signature, as_json: bool
) -> None:
    def make(state: Lifecycle) -> Record:
        draft = state.drafts.get(draft_id)
        if draft is None:
            open_ones = ", ".join(state.drafts) or "none is"
            raise click.ClickException(f"{draft_id} is no open draft; open: {open_ones}")
        if not draft.revision.sha256.startswith(sha256):
            raise click.ClickException(f"{draft_id} was edited since: it now has the hash {draft.revision.sha256}")
        return kind(
            **signature.fields(draft.reason), draft=draft.id, base=draft.base, config_sha256=draft.revision.sha256
        )

    _write(make, as_json)


def _write(make: Callable[[Lifecycle], Record], as_json: bool) -> None:
    """Write the record that fits what stands, and tell what came of it; exit code 1 when it is refused.

    A record that would be refused is not written.
    """
    settings = settings_from_env()
    state = ask(settings, read_log(settings)).state
    record = make(state)
    try:
        advance(state, encode(record))
    except ConfigError as error:
        _refuse(record, None, str(error), as_json)
    written = ask(settings, append(settings, record))
    if written.entry.refused is not None:
        _refuse(record, written.entry.offset, written.entry.refused, as_json)
    _tell(record, written, as_json)


def _refuse(record: Record, offset: int | None, refusal: str, as_json: bool) -> NoReturn:
    if not as_json:
        raise click.ClickException(f"refused, nothing has changed: {refusal}")
    click.echo(json.dumps({"offset": offset, "kind": record.kind, "refused": refusal}, ensure_ascii=False))
    raise SystemExit(1)


def _tell(record: Record, written: Written, as_json: bool) -> None:
    before, after, entry = written
    draft = getattr(record, "draft", None)
    there = after.drafts.get(draft) if draft is not None else None
    made = after.active if entry.revision is not None else None
    changed = _changed(before, made, there)
    if as_json:
        told = {
            "offset": entry.offset,
            "kind": record.kind,
            "refused": None,
            "draft": draft,
            "revision": made and made.id,
            "config_sha256": (made and made.sha256) or (there and there.revision.sha256),
            "changes": [difference._asdict() for difference in changed],
        }
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    if made is not None:
        click.echo(f"revision {made.id} is active, config_sha256 {made.sha256}")
    elif there is not None:
        click.echo(f"draft {there.id} on revision {there.base}, config_sha256 {there.revision.sha256}")
        click.echo(f"written by {', '.join(there.authors)}; approved by {', '.join(there.approvals) or 'nobody yet'}")
    else:
        click.echo(f"draft {draft} is withdrawn")
    for difference in changed:
        click.echo(f"  {difference}")


def _changed(before: Lifecycle, made: Revision | None, draft: Draft | None) -> list[Any]:
    """What the new revision, or the draft, changes of the revision before it."""
    to = made or (None if draft is None else draft.revision)
    return [] if to is None or before.active is None else differences(before.active, to)
