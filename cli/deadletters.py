"""`loanrouter dead-letters`: input that could not be used."""

import json
import re
import time
from collections import Counter
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Any, get_args

import click

from cli.kafka import ask
from cli.main import settings_from_env
from config.settings import Settings
from rotation.clock import rfc3339
from rotation.events import millis
from streams.codec import INPUTS, Reason
from streams.deadletters import DeadLetter
from streams.redrive import Plan, Redrive, Selection, read_dead_letters

_MILLIS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


class _Since(click.ParamType):
    """A time in the past, as ms: RFC 3339 with zone, or an age such as 90m, 12h, 7d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if age := re.fullmatch(r"([0-9]{1,6})([mhd])", value):
            return int(time.time() * 1000) - int(age[1]) * _MILLIS[age[2]]
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail("neither RFC 3339 nor an age such as 90m, 12h, 7d", param, ctx)
        if at.tzinfo is None:
            self.fail("a time needs a zone, such as Z or +08:00", param, ctx)
        return millis(at.astimezone(UTC))


_reason = click.option(
    "--reason", "reasons", multiple=True, type=click.Choice(get_args(Reason)), help="Only these reasons; repeatable."
)
_topic = click.option(
    "--topic", "topics", multiple=True, type=click.Choice(list(INPUTS)), help="Only from these topics; repeatable."
)
_since = click.option(
    "--since", type=_Since(), default="1970-01-01T00:00:00Z", help="Only refused since: RFC 3339, or an age as 12h, 7d."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def dead_letters() -> None:
    """List and re-drive input that could not be used."""


@dead_letters.command("list")
@_reason
@_topic
@_since
@click.option("--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Only the last so many.")
@click.option("--content", is_flag=True, help="With --json: also key, headers and value. These are customers' data.")
@_json
def list_(
    reasons: tuple[str, ...], topics: tuple[str, ...], since: int, limit: int, content: bool, as_json: bool
) -> None:
    """Show the newest dead letters, and the number of each reason.

    Where a record came from, when it was refused and why; never whose it was.
    """
    if content and not as_json:
        raise click.UsageError("--content needs --json")
    settings = settings_from_env()
    counts, letters = ask(settings, _read(settings, _selection(reasons, topics, since), limit))
    if as_json:
        shown = [_described(letter) | (_content(letter) if content else {}) for letter in letters]
        click.echo(json.dumps({"reasons": counts, "dead_letters": shown}, ensure_ascii=False))
        return
    for letter in letters:
        place = f"{letter.topic}[{letter.source_partition}]@{letter.source_offset}"
        click.echo(f"{rfc3339(letter.refused_at)}  {place:<32}  {letter.reason:<21}  {letter.detail}")
    _echo_counts("dead letters", counts)


@dead_letters.command()
@_reason
@_topic
@_since
@click.option("--limit", type=click.IntRange(min=1), help="At most so many; the next run goes on after them.")
@click.option("--max-redrives", type=click.IntRange(min=1), default=3, show_default=True, help="Tries of one record.")
@click.option("--again", is_flag=True, help="Also those that earlier runs with the same filters re-drove.")
@click.option("--dry-run", is_flag=True, help="Only show how many there are of each reason.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
def replay(
    reasons: tuple[str, ...],
    topics: tuple[str, ...],
    since: int,
    limit: int | None,
    max_redrives: int,
    again: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Send dead letters back to the topics that they came from.

    In order, with their own key, headers and value.

    A run begins where the last one with the same filters ended. With the wall clock records are stamped anew, with
    the stream clock they keep their timestamps.
    """
    settings = settings_from_env()
    redrive = Redrive(settings, _selection(reasons, topics, since), max_redrives=max_redrives, again=again)
    plan = ask(settings, redrive.plan(limit))
    if not as_json:
        _echo_plan(plan)
    done = 0
    if not dry_run:
        total = plan.reasons.total()
        if total and not yes:
            click.confirm(f"Re-drive {total} records?", abort=True, err=True)
        done = ask(settings, redrive.run(plan))
    if as_json:
        click.echo(json.dumps({"reasons": plan.reasons, "left_alone": plan.left, "redriven": done}))
    elif not dry_run:
        click.echo(f"{done} re-driven")


def _selection(reasons: tuple[str, ...], topics: tuple[str, ...], since: int) -> Selection:
    return Selection(frozenset(reasons), frozenset(topics), since)


async def _read(settings: Settings, selection: Selection, limit: int) -> tuple[Counter[str], list[DeadLetter]]:
    """How many there are of each reason, and the newest `limit`, oldest first."""
    counts: Counter[str] = Counter()
    newest: list[tuple[int, int, int, DeadLetter]] = []
    async for letter in read_dead_letters(settings, selection):
        counts[letter.reason] += 1
        heappush(newest, (letter.refused_at, letter.partition, letter.offset, letter))
        if len(newest) > limit:
            heappop(newest)
    return counts, [letter for *_, letter in sorted(newest, key=lambda entry: entry[:3])]


def _described(letter: DeadLetter) -> dict[str, Any]:
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "refused_at": rfc3339(letter.refused_at),
        "reason": letter.reason,
        "detail": letter.detail,
        "redriven": letter.redriven,
        "source": {
            "topic": letter.topic,
            "partition": letter.source_partition,
            "offset": letter.source_offset,
            "timestamp": letter.source_timestamp,
        },
    }


def _content(letter: DeadLetter) -> dict[str, Any]:
    return {
        "key": _text(letter.key),
        "value": _text(letter.value),
        "headers": [[name, _text(value)] for name, value in letter.headers],
    }


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="backslashreplace")


def _echo_counts(what: str, counts: Counter[str]) -> None:
    click.echo(f"{counts.total()} {what}")
    for reason, count in counts.most_common():
        click.echo(f"{count:>9}  {reason}")


def _echo_plan(plan: Plan) -> None:
    _echo_counts("to re-drive", plan.reasons)
    if plan.left:
        _echo_counts("left alone", plan.left)
