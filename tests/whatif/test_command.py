"""`loanrouter what-if` answers in words, as JSON and as a page, for a draft in a file or in the record."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from cli.main import main
from config.document import read_json
from config.records import Proposal, encode
from streams.archive import ArchiveWriter, read_archive
from streams.log import LogRecord, log_line
from tests.config.changes import AT
from tests.docs.pages import ROOT
from tests.replay.logs import path
from tests.whatif.traffic import pause, revision, weigh, written
from whatif.page import page
from whatif.tables import tables
from whatif.told import Report


def run(*arguments: object) -> Result:
    """Run `loanrouter what-if`."""
    return CliRunner().invoke(main, ["what-if", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 drawdowns, and a draft `d` in the record that pauses cf-west."""
    begun = written(tmp_path_factory.mktemp("traffic") / "begun", 400, partitions=1, days=5)
    draft = revision(pause(2))
    proposal = Proposal(
        author="wei",
        reason="captures",
        occurred_at=AT,
        draft="d",
        base=1,
        config=read_json(draft.canonical),
        config_sha256=draft.sha256,
    )
    records = [*read_archive(begun), LogRecord("rotation-config", 0, 1, 0, b"config", encode(proposal))]
    with ArchiveWriter(begun.with_name("archive")) as writer:
        for record in records:
            writer.write(record)
    return begun.with_name("archive")


def told(*arguments: object) -> dict[str, Any]:
    """The report of `--json`."""
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_draft_of_the_record_or_of_a_file(archive: Path, tmp_path: Path) -> None:
    """The same content is the same answer; active and the number of a revision mean what is recorded."""
    file = tmp_path / "draft.yaml"
    file.write_text(yaml.safe_dump(read_json(revision(pause(2)).canonical)))

    by_id, by_file = told("d", "--parquet", archive), told(file, "--parquet", archive)

    assert by_id == by_file
    assert by_id["after"]["funders"]["cf-west"]["routed"] == 0 < by_id["before"]["funders"]["cf-west"]["routed"]
    active = told("active", "--parquet", archive)
    assert active == told("1", "--parquet", archive)
    assert active["before"] == active["after"]


def test_a_log_of_lines_is_the_same_traffic(archive: Path, tmp_path: Path) -> None:
    """It takes longer, and comes to the same."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"".join(map(log_line, read_archive(archive))))

    assert told("d", "--log", log) == told("d", "--parquet", archive)


@pytest.mark.parametrize("name", ["in-order", "out-of-order", "market"])
def test_what_workers_recorded_is_replayed_as_it_was(name: str) -> None:
    """The golden logs of real workers, on both clocks: the active revision chooses what was chosen."""
    evidence = told("active", "--log", path(name))["evidence"]

    assert evidence["same"] > 0
    assert (evidence["moved"], evidence["unserved"], evidence["uncovered"]) == (0, 0, 0)


def test_words_name_what_the_record_cannot_tell(archive: Path) -> None:
    """Tables of decisions, funders, quotas, outcomes and what they stand on; then the verdict."""
    done = run("d", "--parquet", archive)

    assert done.exit_code == 0
    for title in ("Decisions", "Funders", "Quotas", "Outcomes (estimated", "What the estimates stand on"):
        assert title in done.stdout
    assert "The record cannot tell what this draft would have brought:" in done.stdout
    assert "The record can tell" in run("active", "--parquet", archive).stdout


@pytest.mark.parametrize("env", [{"COLUMNS": "40", "FORCE_COLOR": "1"}, {"COLUMNS": "40"}])
def test_no_figure_is_cut(archive: Path, env: dict[str, str]) -> None:
    """Every word of every table is there whole; in a pipe every row is one line."""
    report = msgspec.convert(told("d", "--parquet", archive), Report)

    done = CliRunner().invoke(main, ["what-if", "d", "--parquet", str(archive)], env=env)

    words = set(re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).split())
    rows = [row for table in tables(report) for row in table.rows]
    assert {word for row in rows for cell in row for word in cell.split()} <= words
    if "FORCE_COLOR" not in env:
        said = {line.strip("│ ") for line in done.stdout.splitlines()}
        assert {re.sub(" +", " ", " │ ".join(row)).strip("│ ") for row in rows} <= {re.sub(" +", " ", s) for s in said}


def test_the_page_holds_tables_and_plots_and_loads_nothing(archive: Path, tmp_path: Path) -> None:
    """Three plots with words for those who cannot see them; the same report is the same page."""
    run("d", "--parquet", archive, "--html", tmp_path / "a.html")
    run("d", "--parquet", archive, "--html", tmp_path / "b.html")

    text = (tmp_path / "a.html").read_text()
    assert text == (tmp_path / "b.html").read_text()
    assert text.count("<svg") == text.count('role="img" aria-label="') == 3
    assert text.count("<table>") == 5
    assert "cf-west" in text
    loads = [mark for mark in ("<script", "<link", "<img", "src=", "@import") if mark in text]
    assert loads == []


def test_nothing_of_a_name_is_taken_for_markup(archive: Path) -> None:
    """A title is text."""
    text = page(msgspec.convert(told("active", "--parquet", archive), Report), "<script>")

    assert "<script>" not in text
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "nonsense is no file, and no open draft or revision of the record"),
        (["9"], "9 is no file, and no open draft or revision of the record"),
        ([ROOT / "README.md"], "README.md:"),
        (["d", "--log", path("market")], "--log and --parquet: give one of them"),
    ],
    ids=["no draft", "no revision", "no configuration", "two records"],
)
def test_wrong_use(archive: Path, arguments: list[object], says: str) -> None:
    """Exit code 2, and what is wrong."""
    done = run(*arguments, "--parquet", archive)

    assert (done.exit_code, says in done.stderr) == (2, True), done.stderr


def test_a_record_without_configuration_or_with_a_broken_decision(archive: Path, tmp_path: Path) -> None:
    """Which is told, not guessed."""
    draft = tmp_path / "draft.yaml"
    draft.write_text(yaml.safe_dump(read_json(revision(weigh(2, 6)).canonical)))
    records = list(read_archive(archive))
    broken = LogRecord("routing-decisions", 0, 99_999, 0, b"x", b"{}")
    for name, kept, says in (
        ("none", [r for r in records if r.topic != "rotation-config"], "holds no rotation-config record"),
        ("broken", [*records, broken], "routing-decisions, partition 0, offset 99999: not a decision"),
    ):
        with ArchiveWriter(tmp_path / name) as writer:
            for record in kept:
                writer.write(record)
        done = run(draft, "--parquet", tmp_path / name)
        assert (done.exit_code, says in done.stderr) == (2, True), done.stderr
