"""`loanrouter market`: policies on a simulated market of strategic funders, in process and in stream time."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from cli.main import LazyGroup, Subcommand
from config.problems import ConfigError
from config.rotation import Revision
from market.study.compare import Estimate, Job, Row, compare, play_all
from market.study.measures import Measures
from market.study.policies import STRATEGIES
from market.study.report import markdown_table, report
from market.study.scenario import Scenario, load_scenario, shipped, study_configuration, varied

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Rotation configuration; default is the study's, with ten funders.",
)
_BORROWERS = click.option(
    "--borrowers",
    type=click.IntRange(1, 1_000_000),
    default=20_000,
    show_default=True,
    help="How many; quotas grow with them.",
)
_DAYS = click.option("--days", type=click.IntRange(1, 3650), default=180, show_default=True, help="Simulated days.")
seed_option = click.option("--seed", type=int, default=1, show_default=True, help="The market's chance.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _in_a_folder(context: click.Context, option: click.Parameter, path: Path | None) -> Path | None:
    """Before anything is played: what would be lost at the end."""
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"{path.parent}: no such folder", context, option)
    return path


_REPORT = click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=_in_a_folder,
    help="HTML report.",
)
_DRIVE = Subcommand("cli.market_drive:drive", "Play SCENARIO on a real worker, through Kafka.")


@click.group(cls=LazyGroup, later={"drive": _DRIVE})
def market() -> None:
    """Play policies on a simulated market, where some funders capture borrowers."""


@market.command()
@json_option
def scenarios(as_json: bool) -> None:
    """List the shipped scenarios and the policies."""
    configuration = study_configuration()
    known = [load_scenario(name, configuration) for name in shipped()]
    if as_json:
        listed = {
            "scenarios": {scenario.name: scenario.summary for scenario in known},
            "policies": {name: strategy.summary for name, strategy in STRATEGIES.items()},
        }
        click.echo(msgspec.json.encode(listed))
        return
    for scenario in known:
        click.echo(f"{scenario.name:16} {scenario.summary}")
    click.echo()
    for name, strategy in STRATEGIES.items():
        click.echo(f"{name:16} {strategy.summary}")


@market.command()
@click.argument("scenario")
@click.option("--policy", type=click.Choice(list(STRATEGIES)), default="rotation", show_default=True, help="Which.")
@seed_option
@_BORROWERS
@_DAYS
@config_option
@json_option
def run(
    scenario: str, policy: str, seed: int, borrowers: int, days: int, config_path: Path | None, as_json: bool
) -> None:
    """Play one policy on SCENARIO (a shipped one, or a YAML file)."""
    configuration, (loaded,) = load([scenario], config_path)
    (measures,) = _play([Job(loaded, configuration, policy, seed, borrowers, days)], 1)
    if as_json:
        click.echo(msgspec.json.encode(measures))
    else:
        _table(compare([measures]))
        click.echo(f"{measures.drawdowns} drawdowns, {measures.captured} of {measures.good} good borrowers captured")
    judge([measures])


@market.command(name="compare")
@click.option("--scenarios", "scenario_names", help="Comma-separated names or files; default all shipped.")
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=NUMBERS",
    help="Play each scenario with each of these numbers, such as hazard.depth_hazard=0,0.1,0.3; may be repeated.",
)
@click.option("--policies", help="Comma-separated; default all.")
@click.option("--seeds", type=click.IntRange(1, 1000), default=5, show_default=True, help="How many, from 1.")
@_BORROWERS
@_DAYS
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes at once.")
@click.option("--bound", "bounded", is_flag=True, help="Also what each run could have earned at most.")
@_REPORT
@config_option
@json_option
def compare_command(
    scenario_names: str | None,
    vary: Sequence[str],
    policies: str | None,
    seeds: int,
    borrowers: int,
    days: int,
    jobs: int,
    bounded: bool,
    report_path: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Compare policies over scenarios and seeds.

    With 95% intervals, and the share of the way from lock-in to full knowledge that each policy goes.
    """
    names = list(dict.fromkeys(policies.split(","))) if policies else list(STRATEGIES)
    for name in names:
        if name not in STRATEGIES:
            raise click.BadParameter(f"{name}: known are {', '.join(STRATEGIES)}", param_hint="--policies")
    configuration, loaded = load(scenario_names.split(",") if scenario_names else shipped(), config_path)
    for each in vary:
        loaded = _varied(loaded, each)
    todo = [
        Job(scenario, configuration, name, seed, borrowers, days, bounded)
        for scenario in loaded
        for seed in range(1, seeds + 1)
        for name in names
    ]
    runs = _play(todo, jobs)
    rows = compare(runs)
    if report_path is not None:
        report_path.write_text(report(rows, runs), encoding="utf-8")
    if as_json:
        click.echo(msgspec.json.encode({"rows": rows, "runs": runs}))
    else:
        _table(rows)
    judge(runs)


@market.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--markdown", is_flag=True, help="Print a table in Markdown.")
@_REPORT
@json_option
def gather(folder: Path, markdown: bool, report_path: Path | None, as_json: bool) -> None:
    """Compare runs that were made apart.

    FOLDER holds what `run --json` and `compare --json` gave, as files that end in .json.
    """
    found: dict[tuple[str, str, int, int, int], tuple[Path, Measures]] = {}
    for path in sorted(folder.glob("*.json")):
        for measures in _told(path):
            key = (measures.scenario, measures.policy, measures.seed, measures.borrowers, measures.days)
            if measures.policy not in STRATEGIES:
                known = ", ".join(STRATEGIES)
                raise click.UsageError(f"{path}: no such policy as {measures.policy}; known are {known}")
            if key in found:
                again = f"{measures.scenario}, {measures.policy}, seed {measures.seed}"
                raise click.UsageError(f"{path}: {again} is in {found[key][0]} already")
            found[key] = path, measures
    if not found:
        raise click.UsageError(f"{folder}: no .json file in it")
    runs = [measures for _, measures in found.values()]
    if len({(measures.borrowers, measures.days) for measures in runs}) > 1:
        raise click.UsageError("these runs are of different numbers of borrowers or days; gather those of one size")
    rows = compare(runs)
    if report_path is not None:
        report_path.write_text(report(rows, runs), encoding="utf-8")
    if as_json:
        click.echo(msgspec.json.encode({"rows": rows, "runs": runs}))
    elif markdown:
        click.echo(markdown_table(rows), nl=False)
    else:
        _table(rows)
    judge(runs)


def _told(path: Path) -> list[Measures]:
    try:
        told = msgspec.json.decode(path.read_bytes())
        return msgspec.convert(told.get("runs", [told]), list[Measures])
    except (OSError, AttributeError, msgspec.DecodeError, msgspec.ValidationError) as error:
        raise click.UsageError(f"{path}: not what run --json or compare --json gave: {error}") from None


def load(names: Sequence[str], config_path: Path | None) -> tuple[Revision, list[Scenario]]:
    """The configuration and the scenarios of a study; what is wrong with one of them is wrong use."""
    try:
        configuration = study_configuration(config_path)
        loaded = {name: load_scenario(name, configuration) for name in names}
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    files: dict[str, str] = {}
    for file, scenario in loaded.items():
        if files.setdefault(scenario.name, file) != file:
            raise click.UsageError(f"{files[scenario.name]} and {file} are both of the name {scenario.name}")
    return configuration, list(loaded.values())


def _varied(loaded: Sequence[Scenario], asked: str) -> list[Scenario]:
    key, _, numbers = asked.partition("=")
    try:
        values = dict.fromkeys(float(number) for number in numbers.split(","))
        return [varied(scenario, key, value) for scenario in loaded for value in values]
    except ValueError:
        raise click.BadParameter(f"{asked}: give KEY=NUMBER,NUMBER", param_hint="--vary") from None
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _play(todo: Sequence[Job], processes: int) -> list[Measures]:
    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Playing days", total=sum(job.days for job in todo))
        runs = list(play_all(todo, processes, lambda days: progress.advance(task, days)))
    return sorted(runs, key=lambda run: (run.scenario, run.policy, run.seed))


def _table(rows: Sequence[Row]) -> None:
    for scenario, group in groupby(rows, key=lambda row: row.scenario):
        shown = list(group)
        table = Table("policy", "captured %", "net, k yuan", "regret closed", "capture closed", "found", "days")
        table.title = scenario
        bounded = any(row.of_bound for row in shown)
        if bounded:
            table.add_column("of bound %")
        for row in shown:
            table.add_row(
                row.policy,
                _shown(row.captured_share, 100, 2),
                _shown(row.revenue, 1e-5, 0),
                _shown(row.regret_closed, 1, 2),
                _shown(row.capture_closed, 1, 2),
                "–" if row.detected_share is None else f"{row.detected_share:.0%}",
                "–" if row.detection_days is None else f"{row.detection_days:.0f}",
                *((_shown(row.of_bound, 100, 1),) if bounded else ()),
            )
        Console().print(table)


def _shown(estimate: Estimate | None, scale: float, digits: int) -> str:
    if estimate is None:
        return "–"
    shown = f"{estimate.mean * scale:.{digits}f}"
    return shown if estimate.half_width is None else f"{shown} ± {estimate.half_width * scale:.{digits}f}"


def judge(runs: Sequence[Measures]) -> None:
    """No run may break a hard rule or a quota."""
    broken = [f"{run.scenario}, {run.policy}, seed {run.seed}" for run in runs if run.overruns or run.violations]
    if broken:
        raise click.ClickException(f"quota overruns or rule violations in: {'; '.join(broken)}")
