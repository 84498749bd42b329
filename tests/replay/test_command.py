"""`loanrouter replay` decides a log again, compares it with what was recorded, and saves it."""

import json
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner, Result

from cli.main import main
from config.load import load_file
from streams.log import LogRecord
from tests.replay.logs import DECISIONS, LOGS, decided, lines, path, records
from tests.rotation.world import SHIPPED


def command(*arguments: object, log: bytes | None = None) -> Result:
    """Run `loanrouter replay`; `log` is its standard input."""
    return CliRunner().invoke(main, ["replay", *map(str, arguments)], input=log)


@pytest.mark.parametrize("name", LOGS)
def test_the_command_prints_each_decision_once(name: str) -> None:
    """One a line, exactly the bytes of the record, from a file or from standard input."""
    done = command(path(name))

    assert (done.exit_code, done.stderr) == (0, "")
    assert sorted(done.stdout_bytes.splitlines()) == sorted(decided(records(name)).values())
    assert command("-", log=path(name).read_bytes()).stdout_bytes == done.stdout_bytes


@pytest.mark.parametrize("name", LOGS)
def test_check_of_a_true_log_ends_with_0(name: str) -> None:
    """The counts are told, in words or as JSON."""
    count = len(decided(records(name)))

    words, as_json = command(path(name), "--check"), command(path(name), "--check", "--json")

    assert (words.exit_code, words.stdout) == (0, f"{count} decisions replayed, {count} recorded, 0 differ\n")
    assert as_json.exit_code == 0
    assert json.loads(as_json.stdout) == {"decisions": count, "recorded": count, "differing": []}


def test_json_without_check_is_the_count() -> None:
    """The decisions themselves are left out then."""
    done = command(path("market"), "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"decisions": len(decided(records("market")))}


@pytest.mark.parametrize("name", LOGS)
def test_save_writes_the_log_in_its_one_form(name: str, tmp_path: Path) -> None:
    """A saved log is the same bytes again, bytes that are no text and missing values included."""
    saved = tmp_path / "saved.jsonl"

    done = command("-", "--save", saved, "--check", log=path(name).read_bytes())

    assert done.exit_code == 0
    assert saved.read_bytes() == path(name).read_bytes()


def test_a_log_without_a_configuration_needs_one() -> None:
    """Without `rotation-config` nothing can be decided; with the same configuration the same is."""
    log = lines(record for record in records("out-of-order") if record.topic != "rotation-config")

    without, given = command("-", "--check", log=log), command("-", "--check", "--config", SHIPPED, log=log)

    assert (without.exit_code, without.stdout) == (2, "")
    assert "give the configuration" in without.stderr
    assert given.exit_code == 0


def test_another_configuration_decides_otherwise(tmp_path: Path) -> None:
    """Decisions name the hash of theirs, so none of them is the same under another."""
    document = load_file(SHIPPED) | {"attempts": {"max": 1}}
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(document))
    log = lines(record for record in records("out-of-order") if record.topic != "rotation-config")

    done = command("-", "--check", "--json", "--config", other, log=log)

    assert done.exit_code == 1
    assert set(json.loads(done.stdout)["differing"]) == set(decided(records("out-of-order")))


def test_a_broken_configuration_ends_with_2(tmp_path: Path) -> None:
    """The file, the line and the key are told."""
    other = tmp_path / "other.yaml"
    other.write_text(SHIPPED.read_text().replace("weight: 3", "weight: 0"))

    done = command(path("out-of-order"), "--config", other)

    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{other}:20: funders[0].weight: " in done.stderr


def test_a_decision_that_is_none_ends_with_2() -> None:
    """Nothing is replayed then: what the log says cannot be compared."""
    foreign = LogRecord(DECISIONS, 0, 10_000, 0, b"kim", b'{"decision_id":"dd-kim-1:1"}')

    done = command("-", "--check", log=lines([*records("out-of-order"), foreign]))

    assert (done.exit_code, done.stdout) == (2, "")
    assert "the log cannot be replayed: " in done.stderr


def test_a_position_that_is_none_ends_with_2() -> None:
    """The decision is told by its place in the log."""
    log = [
        msgspec.structs.replace(r, headers=(("loanrouter-position", b"1;2"),)) if r.topic == DECISIONS else r
        for r in records("out-of-order")
    ]

    done = command("-", "--check", log=lines(log))

    assert (done.exit_code, done.stdout) == (2, "")
    assert "routing-decisions, partition 1, offset 0: not a decision" in done.stderr


def test_decisions_without_positions_are_not_followed() -> None:
    """A log of decisions that do not say where their worker was is decided as one of inputs alone, and compared."""
    log = [msgspec.structs.replace(r, headers=()) if r.topic == DECISIONS else r for r in records("in-order")]

    done = command("-", "--check", log=lines(log))

    assert (done.exit_code, done.stdout) == (0, "37 decisions replayed, 37 recorded, 0 differ\n")


def test_the_tampered_log_does_not_pass() -> None:
    """Exit code 1 and the decision by its id; in JSON too."""
    words, as_json = command(path("tampered"), "--check"), command(path("tampered"), "--check", "--json")

    assert words.exit_code == as_json.exit_code == 1
    assert words.stdout == "4 decisions replayed, 4 recorded, 1 differ\n  dd-ann-2:1\n"
    assert json.loads(as_json.stdout) == {"decisions": 4, "recorded": 4, "differing": ["dd-ann-2:1"]}
