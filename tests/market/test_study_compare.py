"""The law of the comparison: ratios go from lock-in (0) to full knowledge (1) seed by seed, with honest intervals,
however many processes make the runs.
"""

import json
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from market.study.compare import Job, compare, estimate, play, play_all
from market.study.measures import Measures
from market.study.scenario import load_scenario, study_configuration

CONFIGURATION = study_configuration()
SMALL = ("--borrowers", "60", "--days", "90", "--seeds", "2")


def _run(policy: str, seed: int, fees: int, captured: int, **more: object) -> Measures:
    job = Job(load_scenario("mixed", CONFIGURATION), CONFIGURATION, policy, seed, 5, 5)
    return msgspec.structs.replace(play(job), fees=fees, captured=captured, good=100, capturing=4, **more)


def test_ratios_go_from_lock_in_to_full_knowledge() -> None:
    """A policy half way on captures is at a half; one that earns by fees alone closes regret but no capture."""
    runs = [
        *(_run("lock_in", seed, 1_000_000, 8) for seed in (1, 2)),
        *(_run("truth", seed, 1_000_000, 0) for seed in (1, 2)),
        *(_run("rotation", seed, 1_000_000, 4) for seed in (1, 2)),
        *(_run("fees_only", seed, 1_400_000, 8) for seed in (1, 2)),
    ]
    rows = {row.policy: row for row in compare(runs)}
    assert [rows[name].regret_closed.mean for name in ("lock_in", "rotation", "truth")] == [0, 0.5, 1]  # type: ignore[union-attr]
    assert [rows[name].capture_closed.mean for name in ("lock_in", "rotation", "truth")] == [0, 0.5, 1]  # type: ignore[union-attr]
    blind = rows["fees_only"]
    assert blind.regret_closed is not None
    assert blind.capture_closed is not None
    assert (blind.regret_closed.mean, blind.capture_closed.mean) == (0.5, 0)
    assert blind.against_rotation is not None
    assert blind.against_rotation.mean == 0


def test_detection_is_over_all_capturing_funders_and_seeds() -> None:
    """Those not found are later than all that are: no median when they are half. Who does not look has no share."""
    some = _run("router", 1, 0, 0, detected={"bank-a": 10, "cf-b": 30})
    for other, share, days in (({}, 0.25, None), ({"cf-b": 40, "bank-a": 20, "cf-a": 50}, 0.625, 45)):
        (row,) = compare([some, _run("router", 2, 0, 0, detected=other)])
        assert (row.detected_share, row.detection_days) == (share, days)
    (blind,) = compare([_run("lock_in", 1, 0, 0)])
    assert blind.detected_share is None


def test_the_interval_is_students() -> None:
    """Five values with deviation 1.58 around 3: 2.776 standard errors; one value tells no interval."""
    assert estimate([1, 2, 3, 4, 5]).mean == 3
    assert estimate([1, 2, 3, 4, 5]).half_width == pytest.approx(1.963, abs=0.001)
    assert estimate([7]).half_width is None


def test_two_processes_make_the_same_runs_as_one() -> None:
    """Only the seconds differ."""
    scenario = load_scenario("immediate", CONFIGURATION)
    jobs = [Job(scenario, CONFIGURATION, policy, 1, 40, 60) for policy in ("lock_in", "rotation")]
    one, two = (
        sorted((msgspec.structs.replace(run, seconds=0) for run in play_all(jobs, n)), key=lambda run: run.policy)
        for n in (1, 2)
    )
    assert one == two


@pytest.mark.parametrize("processes", [1, 2])
def test_progress_tells_every_day_that_is_over(processes: int) -> None:
    """In all processes together, and before the first run ends."""
    scenario = load_scenario("immediate", CONFIGURATION)
    jobs = [Job(scenario, CONFIGURATION, policy, 1, 10, 30) for policy in ("lock_in", "rotation")]
    told: list[int] = []
    ended = list(play_all(jobs, processes, told.append))
    assert len(ended) == 2
    assert sum(told) == 60


def _command(*words: str) -> Result:
    return CliRunner().invoke(main, ["market", *words], prog_name="loanrouter")


def test_the_command_gives_every_row_as_json(tmp_path: Path) -> None:
    """A row for each scenario and policy, a run for each seed of them, and a page that stands alone."""
    page = tmp_path / "report.html"
    words = ("--scenarios", "mixed,all_honest", "--policies", "lock_in,truth", "--jobs", "1", "--json")
    result = _command("compare", *words, *SMALL, "--report", str(page))
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert [(row["scenario"], row["policy"]) for row in told["rows"]] == [
        ("all_honest", "lock_in"),
        ("all_honest", "truth"),
        ("mixed", "lock_in"),
        ("mixed", "truth"),
    ]
    assert len(told["runs"]) == 8
    text = page.read_text("utf-8")
    HTMLParser().feed(text)
    assert text.count("<h2>") == 2
    assert "<svg" in text
    assert "http" not in text


def test_one_run_is_told_in_a_sentence() -> None:
    """With the number of good borrowers captured."""
    result = _command("run", "mixed", "--borrowers", "60", "--days", "60")
    assert result.exit_code == 0, result.output
    assert "good borrowers captured" in result.stdout


def test_a_bad_scenario_file_is_wrong_use(tmp_path: Path) -> None:
    """2, with file, line and key."""
    path = tmp_path / "mine.yaml"
    path.write_text("schema: 1\nname: mine\nsummary: bad\npopulation: {churn: 2}\n", encoding="utf-8")
    result = _command("run", str(path))
    assert result.exit_code == 2
    assert f"{path}:4: population.churn: must be a chance from 0 to 1, but is 2" in result.stderr


def test_runs_made_apart_are_gathered(tmp_path: Path) -> None:
    """A run of its own and those of a comparison make the rows that they would make together."""
    words = ("--policies", "lock_in", "--scenarios", "mixed", "--jobs", "1", "--json")
    alone, some = tmp_path / "alone.json", tmp_path / "some.json"
    some.write_text(_command("compare", *words, *SMALL).stdout, encoding="utf-8")
    run = ("run", "mixed", "--policy", "truth", "--seed", "2", "--borrowers", "60", "--days", "90", "--json")
    alone.write_text(_command(*run).stdout, encoding="utf-8")
    told = json.loads(_command("gather", str(tmp_path), "--json").stdout)
    assert [(row["policy"], row["revenue"]["seeds"]) for row in told["rows"]] == [("lock_in", 2), ("truth", 1)]
    assert told["rows"][1]["against_lock_in"]["seeds"] == 1
    table = _command("gather", str(tmp_path), "--markdown").stdout.splitlines()
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1
    assert "over lock-in" in table[0]
    assert "over rotation" not in table[0], "a column that tells nothing is left out"
    assert "| mixed | `truth` |" in table[3]


def test_two_scenarios_of_one_name_are_wrong_use(tmp_path: Path) -> None:
    """Their runs could not be told apart: both files are named."""
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    for path, churn in ((one, 0.1), (two, 0.2)):
        path.write_text(f"schema: 1\nname: same\nsummary: x\npopulation: {{churn: {churn}}}\n", encoding="utf-8")
    refused = _command("compare", "--scenarios", f"{one},{two}", *SMALL)
    assert refused.exit_code == 2
    assert f"{one} and {two} are both of the name same" in refused.stderr


@pytest.mark.parametrize("command", ["compare", "gather"])
def test_a_report_that_could_not_be_written_is_refused_before_anything_is_played(tmp_path: Path, command: str) -> None:
    """At full size, which would take minutes, the answer comes at once."""
    words = ["gather", str(tmp_path)] if command == "gather" else ["compare"]
    refused = _command(*words, "--report", str(tmp_path / "nowhere" / "report.html"))
    assert refused.exit_code == 2
    assert "no such folder" in refused.stderr


def test_runs_that_are_told_twice_or_of_no_known_policy_are_wrong_use(tmp_path: Path) -> None:
    """With the files that hold them."""
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    run = _command("run", "mixed", "--borrowers", "10", "--days", "20", "--json").stdout
    for path in (one, two):
        path.write_text(run, encoding="utf-8")
    refused = _command("gather", str(tmp_path))
    assert refused.exit_code == 2
    assert f"{two}: mixed, rotation, seed 1 is in {one} already" in refused.stderr
    two.write_text(run.replace('"rotation"', '"clairvoyance"'), encoding="utf-8")
    refused = _command("gather", str(tmp_path))
    assert refused.exit_code == 2
    assert f"{two}: no such policy as clairvoyance" in refused.stderr


def test_runs_that_cannot_be_compared_are_wrong_use(tmp_path: Path) -> None:
    """None, those of another size, and a file of something else."""
    assert _command("gather", str(tmp_path)).exit_code == 2
    files = [tmp_path / f"{number}.json" for number in (40, 60)]
    for path in files:
        path.write_text(_command("run", "mixed", "--borrowers", path.stem, "--days", "20", "--json").stdout)
    assert "of one size" in _command("gather", str(tmp_path)).stderr
    files[0].write_text('{"runs": [1]}')
    refused = _command("gather", str(tmp_path))
    assert refused.exit_code == 2
    assert str(files[0]) in refused.stderr
