"""`loanrouter config propose` and the other verbs that write to the log of configuration changes."""

import getpass
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from cli.config_log import config_log
from cli.kafka import ask
from cli.main import settings_from_env
from config.changes import NothingToChange, Signature, activation, approval, proposal
from config.changes import rollback as go_back
from config.difference import differences
from config.lifecycle import Draft, Lifecycle
from config.load import load_file
from config.problems import ConfigError
from config.records import FunderSwitch, Ramp, Record, RotationSwitch, Withdrawal
from config.revisions import first_revision, rfc3339
from config.rotation import Revision
from streams.config_log import RecordRefused, Written, write


def _signature(author: str, reason: str | None) -> Signature:
    return Signature(author, reason, datetime.now(UTC))


def _signed(reason_required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options of every verb that writes."""
    why = "Why; it stays in the log." if reason_required else "Why; by default the draft's reason."

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for option in (
            click.option("--json", "as_json", is_flag=True, help="Print what came of it as a JSON object."),
            click.option("--reason", required=reason_required, callback=not_blank, help=why),
            click.option(
                "--author",
                default=getpass.getuser,
                callback=not_blank,
                help="Who does it; by default the user of this session. By way of a console it is the token's.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def not_blank(_: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The callback of an option that must say something."""
    if value is not None and not value.strip():
        raise click.BadParameter(f"{parameter.name} may not be blank")
    return value


def _time(_: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise click.BadParameter(f"must be an RFC 3339 time with zone, such as 2026-12-01T00:00:00+08:00, not {value}")
    return at


def _shares(_: click.Context, __: click.Parameter, value: str | None) -> list[int] | None:
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3})+", value):
        raise click.BadParameter(f"must be whole per cents with commas between, such as 5,25,100, not {value}")
    return [int(each) for each in value.split(",")]


def _duration(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,7})([smhd]?)", value)
    if found is None or int(found[1]) == 0:
        raise click.BadParameter(f"must be seconds, or a number with m, h or d, such as 1h, not {value}")
    return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]


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
    on = base or (None if told is None else int(told[1]))
    _write(lambda state: proposal(state, proposed, _signature(author, reason), draft=draft, base=on), as_json)


@click.command()
@click.argument("draft")
@click.option("--sha256", default="", help="Beginning of the draft's config_sha256 as you saw it.")
@_signed(reason_required=False)
def approve(draft: str, sha256: str, author: str, reason: str | None, as_json: bool) -> None:
    """Approve DRAFT as it stands; who wrote any version of it cannot.

    Look first: loanrouter config diff active DRAFT. With --sha256 an edit that came after that is not approved unseen.
    """
    _write(lambda state: approval(state, draft, _signature(author, reason), sha256=sha256), as_json)


@click.command()
@click.argument("draft")
@click.option("--sha256", default="", help="Beginning of the draft's config_sha256 as you saw it.")
@click.option(
    "--at", callback=_time, help="From which time on, such as 2026-12-01T00:00:00+08:00, at most 90 days ahead."
)
@click.option("--ramp", callback=_shares, help="Shares of the borrowers (%) by which it is let in, such as 5,25,100.")
@click.option("--every", callback=_duration, help="How long each share but the last lasts: seconds, or 30m, 1h, 2d.")
@_signed(reason_required=False)
def activate(
    draft: str,
    sha256: str,
    at: datetime | None,
    ramp: list[int] | None,
    every: int | None,
    author: str,
    reason: str | None,
    as_json: bool,
) -> None:
    """Make the approved DRAFT the active revision.

    Now or at a time, for all borrowers or by steps. Refused when another revision became active since it was proposed.
    One that waits for its time can be withdrawn, and is void when another revision becomes active before.
    """
    if (ramp is None) != (every is None):
        raise click.UsageError("--ramp and --every belong together")
    steps = None if ramp is None or every is None else Ramp(ramp, every)
    signed = _signature(author, reason)
    _write(lambda state: activation(state, draft, signed, sha256=sha256, at=at, ramp=steps), as_json)


@click.command()
@click.argument("draft")
@_signed(reason_required=True)
def withdraw(draft: str, author: str, reason: str, as_json: bool) -> None:
    """Give DRAFT up."""
    _write(lambda state: Withdrawal(**_signature(author, reason).fields(), draft=draft), as_json)


@click.command()
@click.argument("revision", type=click.IntRange(min=1), required=False)
@_signed(reason_required=True)
def rollback(revision: int | None, author: str, reason: str, as_json: bool) -> None:
    """Go back to REVISION, by default the one before the active one.

    Its content becomes a new revision at once.
    """
    _write(lambda state: go_back(state, _signature(author, reason), revision), as_json)


@click.command()
@click.argument("funder")
@_signed(reason_required=True)
def pause(funder: str, author: str, reason: str, as_json: bool) -> None:
    """Kill switch: give FUNDER no drawdown from now on."""
    switch = FunderSwitch(kind="pause", **_signature(author, reason).fields(), funder_id=funder)
    _write(lambda state: switch, as_json)


@click.command()
@click.argument("funder")
@_signed(reason_required=True)
def resume(funder: str, author: str, reason: str, as_json: bool) -> None:
    """Undo `config pause`."""
    switch = FunderSwitch(kind="resume", **_signature(author, reason).fields(), funder_id=funder)
    _write(lambda state: switch, as_json)


@click.command()
@click.argument("position", type=click.Choice(["off", "on"]))
@_signed(reason_required=True)
def rotation(position: str, author: str, reason: str, as_json: bool) -> None:
    """Kill switch: rotation rules off, or on again.

    While they are off, drawdowns are given by weight under the hard rules alone.
    """
    switch = RotationSwitch(
        kind="rotation_on" if position == "on" else "rotation_off", **_signature(author, reason).fields()
    )
    _write(lambda state: switch, as_json)


VERBS = (propose, approve, activate, withdraw, rollback, pause, resume, rotation)


def _write(make: Callable[[Lifecycle], Record], as_json: bool) -> None:
    """Write the record that fits what stands, and tell what came of it; exit code 1 when it is refused."""
    settings = settings_from_env()
    try:
        record, written = ask(settings, write(config_log(settings), make))
    except NothingToChange as error:
        raise click.ClickException(str(error)) from None
    except RecordRefused as refused:
        _refuse(refused, as_json)
    _tell(record, written, as_json)


def _refuse(refused: RecordRefused, as_json: bool) -> NoReturn:
    if not as_json:
        raise click.ClickException(f"refused, nothing has changed: {refused}")
    told = {"offset": refused.offset, "kind": refused.record.kind, "refused": str(refused)}
    click.echo(json.dumps(told, ensure_ascii=False))
    raise SystemExit(1)


def _tell(record: Record, written: Written, as_json: bool) -> None:
    before, after, entry = written
    draft = getattr(record, "draft", None)
    there = after.drafts.get(draft) if draft is not None else None
    made = after.revisions[entry.revision] if entry.revision is not None else None
    timed = None if made is None else after.timed.get(made.id)
    changed = _changed(before, made, there)
    if as_json:
        told = {
            "offset": entry.offset,
            "kind": record.kind,
            "refused": None,
            "draft": draft,
            "revision": made and made.id,
            "at": timed and rfc3339(timed.since),
            "steps": timed and [{"at": rfc3339(since), "share": share} for since, share in timed.steps],
            "void": entry.void,
            "config_sha256": (made and made.sha256) or (there and there.revision.sha256),
            "changes": [difference._asdict() for difference in changed],
        }
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    if entry.void is not None:
        click.echo(f"revision {entry.void} is void: it will not become active")
    if made is not None:
        when = "is active" if timed is None else f"becomes active at {rfc3339(timed.since)}"
        click.echo(f"revision {made.id} {when}, config_sha256 {made.sha256}")
        for since, share in () if timed is None else timed.steps:
            click.echo(f"  for {share}% of the borrowers from {rfc3339(since)}")
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
