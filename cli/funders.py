"""`loanrouter funders`: where the funders stand on the response ladder, and a person's word on it."""

import json
from typing import Any, get_args

import click
import msgspec

from capture.ladder import moved
from cli.config_change import not_blank
from cli.kafka import ask
from cli.main import settings_from_env
from config.rotation import RotationConfig
from rotation.outputs import FunderState, FunderStateName, encode
from streams.funder_states import Standings, put_standing, read_standings

#: A worker counts on from the version that it has read, by one with each batch: so many it does not publish between our
#: reading and our writing, and from then on it counts from ours.
_AHEAD = 1000


@click.group()
def funders() -> None:
    """Show and set where funders stand on the response ladder."""


@funders.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list instead of lines.")
def list_(as_json: bool) -> None:
    """Show where each configured funder stands, since when, and why."""
    settings = settings_from_env()
    standings = ask(settings, read_standings(settings))
    rows = [_row(_standing(standings, funder.id), funder.status) for funder in _config(standings).funders]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    width = max(len(row["funder_id"]) for row in rows)
    for row in rows:
        paused = "; paused by the configuration" if row["status"] == "paused" else ""
        click.echo(
            f"{row['funder_id']:<{width}}  {row['state']:<9}  {row['traffic_multiplier']:<4}  "
            f"{row['since'] or '-':<24}  {row['cause']}{paused}"
        )


@funders.command("set")
@click.argument("funder")
@click.argument("state", type=click.Choice(get_args(FunderStateName)))
@click.option("--reason", required=True, callback=not_blank, help="Why; it is published, so name no borrower.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the record that was written.")
def set_(funder: str, state: FunderStateName, reason: str, yes: bool, as_json: bool) -> None:
    """Put FUNDER on the step STATE of the response ladder.

    Calm does not undo it, only new evidence makes it harder. A funder that the configuration pauses stays paused.
    """
    settings = settings_from_env()
    if not yes:
        before = _standing(ask(settings, read_standings(settings)), funder)
        click.confirm(f"{funder} is {before.state} ({before.cause}). Make it {state}?", abort=True, err=True)
    written = ask(settings, put_standing(settings, lambda standings: _put(standings, funder, state, reason)))
    if as_json:
        click.echo(encode(written))
    else:
        click.echo(f"{funder} is {state} since {written.since}, version {written.version}: {written.cause}")


def _put(standings: Standings, funder_id: str, to: FunderStateName, reason: str) -> FunderState:
    """The funder's record with another step; what else it tells is the worker's to change."""
    before = _standing(standings, funder_id)
    after = moved(before, to, f"by a person: {reason}", _config(standings).capture.ladder, standings.now)
    return msgspec.structs.replace(after, version=standings.versions.get(funder_id, 0) + _AHEAD)


def _standing(standings: Standings, funder_id: str) -> FunderState:
    """The last record of a configured funder; without one it has its whole weight."""
    configured = [funder.id for funder in _config(standings).funders]
    if funder_id not in configured:
        raise click.UsageError(f"no such funder: {funder_id}; there are {', '.join(configured)}")
    return standings.states.get(funder_id) or FunderState(funder_id, {}, "normal", 1.0, "", "no outcomes yet", 0)


def _config(standings: Standings) -> RotationConfig:
    if standings.config is None:
        raise click.ClickException("no configuration is active yet: the first worker publishes it")
    return standings.config


def _row(state: FunderState, status: str) -> dict[str, Any]:
    return {
        "funder_id": state.funder_id,
        "status": status,
        "state": state.state,
        "traffic_multiplier": state.traffic_multiplier,
        "since": state.since or None,
        "cause": state.cause,
        "version": state.version or None,
    }
