"""`loanrouter explain`: one drawdown's decisions for a person, funder by funder."""

import json
from pathlib import Path

import click
import msgspec

from cli.kafka import ask
from cli.main import settings_from_env
from config.settings import Settings
from rotation.outputs import Decision
from rotation.rules import meanings
from streams.log import LogError, read_log
from streams.reading import read_topics


@click.command()
@click.argument("drawdown_id")
@click.option(
    "--log", "log_path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Read this recorded log."
)
@click.option("--json", "as_json", is_flag=True, help="Print the decisions with the meaning of each code.")
def explain(drawdown_id: str, log_path: Path | None, as_json: bool) -> None:
    """Explain the decisions of DRAWDOWN_ID: who was chosen, and for each other funder the rule that dropped it.

    Reads `routing-decisions` from Kafka, or a recorded log.
    """
    settings = settings_from_env()
    try:
        decisions = ask(settings, _decisions(settings, drawdown_id, log_path))
    except LogError as error:
        raise click.UsageError(str(error)) from None
    except msgspec.DecodeError as error:
        raise click.ClickException(f"routing-decisions holds what is no decision: {error}") from None
    if not decisions:
        raise click.ClickException(f"no decision about drawdown {drawdown_id}")
    if as_json:
        click.echo(json.dumps([_with_meanings(decision) for decision in decisions], ensure_ascii=False))
    else:
        click.echo("\n\n".join(in_words(decision) for decision in decisions))


async def _decisions(settings: Settings, drawdown_id: str, log_path: Path | None) -> list[Decision]:
    decoder = msgspec.json.Decoder(Decision)
    found: dict[str, Decision] = {}
    marker = drawdown_id.encode()

    def look(value: bytes | None) -> None:
        if value is not None and marker in value:
            decision = decoder.decode(value)
            if decision.drawdown_id == drawdown_id:
                found.setdefault(decision.decision_id, decision)

    if log_path is not None:
        with log_path.open("rb") as lines:
            for record in read_log(lines, settings, str(log_path)):
                if record.topic == "routing-decisions":
                    look(record.value)
    else:
        async for record in read_topics(settings, ["routing-decisions"]):
            look(record.value)
    return list(found.values())


def in_words(decision: Decision) -> str:
    """The decision as a person reads it."""
    means = meanings()
    to = f" to {decision.funder_id}" if decision.funder_id else ""
    lines = [
        f"Drawdown {decision.drawdown_id}, attempt {decision.attempt}: {decision.status}{to}",
        f"  at {decision.decided_at} (open until {decision.expires_at}), configuration revision "
        f"{decision.config_revision}, funder states {decision.funder_states_version}",
        *(f"  {reason}: {means.get(reason, '')}" for reason in decision.reasons),
    ]
    if decision.relaxed:
        lines.append(f"  rules given up: {', '.join(decision.relaxed)}")
    if decision.candidates:
        lines.append("  candidates, best first:")
        lines += [
            f"    {each.funder_id:<24} chance of being first {each.propensity:.1%}" for each in decision.candidates
        ]
    if decision.excluded:
        lines.append("  dropped:")
        for funder_id, codes in decision.excluded.items():
            lines += [f"    {funder_id:<24} {code}: {means.get(code, '')}" for code in codes]
    return "\n".join(lines)


def _with_meanings(decision: Decision) -> dict[str, object]:
    codes = {*decision.reasons, *decision.relaxed, *(code for each in decision.excluded.values() for code in each)}
    means = meanings()
    return {**msgspec.to_builtins(decision), "meanings": {code: means.get(code, "") for code in sorted(codes)}}
