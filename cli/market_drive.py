"""`loanrouter market drive`: a study's market on a real worker, through Kafka in stream time."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from agents.recorded import Log
from cli.kafka import ask
from cli.local import ProcessDied, kafka_option, process, redis_option, settings_of, wait_until_ready
from cli.market import config_option, json_option, judge, load, seed_option
from cli.recorded import progress_bar
from cli.replay import decide, differing, on_kafka
from config.rotation import Revision
from config.settings import Settings
from config.written import yaml_text
from market.study.compare import Job, play
from market.study.measures import Measures
from market.study.policies import STRATEGIES
from market.study.scenario import Scenario, scaled
from market.study.served import PARTITIONS, ServedRouter, ServiceSilent
from market.study.simulate import QUOTAS_FOR, Simulation
from streams.topics import TopicsError, create_topics


@click.command()
@click.argument("scenario")
@seed_option
@click.option("--borrowers", type=click.IntRange(1, 20_000), default=200, show_default=True, help="How many.")
@click.option("--days", type=click.IntRange(1, 3650), default=60, show_default=True, help="Simulated days.")
@config_option
@kafka_option
@redis_option
@json_option
def drive(
    scenario: str,
    seed: int,
    borrowers: int,
    days: int,
    config_path: Path | None,
    kafka: str | None,
    redis_url: str | None,
    as_json: bool,
) -> None:
    """Play SCENARIO on a real worker, through Kafka.

    In stream time, one event at a time, some 20 a second. At the end this process decides all that was recorded again,
    and plays the market without the worker: exit code 1 when a decision differs, or one broke a rule.
    """
    configuration, (loaded,) = load([scenario], config_path)
    revision = scaled(configuration, borrowers / QUOTAS_FOR)
    with ExitStack() as stack:
        settings = settings_of("market", stack, kafka, redis_url, clock="stream", partitions=PARTITIONS, standbys=0)
        settings = replace(settings, config=settings.data.parent / "rotation.yaml")
        settings.config.write_text(yaml_text(revision), encoding="utf-8")
        try:
            measures = _play(settings, loaded, revision, seed, borrowers, days)
        except (ProcessDied, ServiceSilent, TopicsError) as error:
            raise click.ClickException(str(error)) from None
        log = Log(ask(settings, on_kafka(settings)), revision)
        known, again = log.recorded(), decide(settings, log, quiet=True)
    others = differing(known, again)
    alone = play(Job(loaded, configuration, "router", seed, borrowers, days))
    if as_json:
        told = {"measures": measures, "decisions": len(known), "differing": others, "in_process": alone}
        click.echo(msgspec.json.encode(told))
    else:
        click.echo(f"by the worker:   {_in_words(measures)}")
        click.echo(f"in this process: {_in_words(alone)}")
        click.echo(f"{len(known)} decisions, made again from the record: {len(others)} differ")
    judge([measures])
    if others:
        raise SystemExit(1)


def _play(settings: Settings, scenario: Scenario, revision: Revision, seed: int, borrowers: int, days: int) -> Measures:
    ask(settings, create_topics(settings))
    with process(settings, "worker") as died:
        wait_until_ready(settings, died)
        with ServedRouter(settings, died) as router, progress_bar("Playing", days) as (advance, _):
            simulation = Simulation(
                scenario,
                revision,
                STRATEGIES["router"],
                seed=seed,
                borrowers=borrowers,
                days=days,
                router=router,
            )
            return simulation.run(lambda day: advance(1))


def _in_words(run: Measures) -> str:
    return (
        f"{run.drawdowns} drawdowns, {run.disbursed} loans, {run.captured} of {run.good} good borrowers captured, "
        f"{run.fees / 100:,.0f} yuan of fees"
    )
