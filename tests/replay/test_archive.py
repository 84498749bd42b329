"""An archive holds every record as it was, and a replay of it is that of the log; what is not whole is refused."""

import json
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.main import main
from streams.archive import ArchiveError, ArchiveWriter, read_archive, read_summary
from streams.log import LogRecord
from tests.replay.logs import LOGS, path, records
from tests.replay.test_log_lines import records as any_record


def run(*arguments: object) -> Result:
    """Run `loanrouter`."""
    return CliRunner().invoke(main, list(map(str, arguments)))


def written(folder: Path, *log: LogRecord) -> Path:
    """An archive of records."""
    with ArchiveWriter(folder) as writer:
        for record in log:
            writer.write(record)
    return folder


in_topics = st.builds(
    lambda record, topic, partition: msgspec.structs.replace(record, topic=topic, partition=partition),
    any_record,
    st.sampled_from(["credit-grants", "repayments"]),
    st.integers(0, 2),
)


@given(st.lists(in_topics, max_size=8))
@settings(max_examples=50)
def test_records_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, log: list[LogRecord]) -> None:
    """Keys, headers and values that are missing, empty or no text included; partition by partition, in order."""
    folder = written(tmp_path_factory.mktemp("archives") / "archive", *log)

    assert list(read_archive(folder)) == sorted(log, key=lambda record: (record.topic, record.partition))


def test_many_records_come_back_as_they_were(tmp_path: Path) -> None:
    """Also those beyond what is written at once, each with its own headers."""
    log = [LogRecord("repayments", 0, n, n, None, None, (("h", b"%d" % n),) * (n % 3)) for n in range(50_001)]

    assert list(read_archive(written(tmp_path / "a", *log))) == log


@pytest.mark.parametrize("name", LOGS)
def test_a_replay_of_an_archive_is_that_of_the_log(name: str, tmp_path: Path) -> None:
    """Byte for byte, and true to the recorded decisions."""
    exported = run("export", tmp_path / "archive", "--log", path(name), "--json")

    from_archive = run("replay", "--parquet", tmp_path / "archive")

    assert exported.exit_code == 0, exported.stderr
    counts = json.loads(exported.stdout)["records"]
    assert counts == {topic: sum(r.topic == topic for r in records(name)) for topic in {r.topic for r in records(name)}}
    assert sorted(from_archive.stdout_bytes.splitlines()) == sorted(run("replay", path(name)).stdout_bytes.splitlines())
    assert run("replay", "--parquet", tmp_path / "archive", "--check").exit_code == 0


def test_rows_are_legible_to_other_tools(tmp_path: Path) -> None:
    """Columns have the names and types that a person expects, the time with its zone."""
    folder = written(tmp_path / "a", LogRecord("repayments", 3, 7, 1_793_512_800_000, b"ann", b"{}", (("h", b"x"),)))

    (row,) = pq.read_table(folder / "repayments" / "3.parquet").to_pylist()

    assert row.pop("timestamp").isoformat() == "2026-11-01T06:00:00+00:00"
    assert row == {
        "topic": "repayments",
        "partition": 3,
        "offset": 7,
        "key": b"ann",
        "headers": [{"name": "h", "value": b"x"}],
        "value": b"{}",
    }


ONE, TWO = LogRecord("repayments", 0, 0, 0, None, None), LogRecord("repayments", 0, 1, 0, None, None)


def test_an_export_that_broke_off_is_no_archive(tmp_path: Path) -> None:
    """Whatever of it was written, and the folder is not written into again."""

    def break_off() -> None:
        with ArchiveWriter(tmp_path / "a") as writer:
            writer.write(ONE)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        break_off()
    (tmp_path / "a" / "left").touch()

    assert "no archive, or not a whole one" in run("replay", "--parquet", tmp_path / "a").stderr
    assert "is not empty" in run("export", tmp_path / "a", "--log", path("market")).stderr


def test_a_file_that_lacks_rows_is_noticed(tmp_path: Path) -> None:
    """Also one that has too many, one that is gone, and one that is no Parquet."""
    whole, less = written(tmp_path / "whole", ONE, TWO), written(tmp_path / "less", ONE)
    file = Path("repayments") / "0.parquet"
    contents = [(whole / file).read_bytes(), (less / file).read_bytes(), b"", None]
    for folder, content in ((whole, contents[1]), (less, contents[0]), (less, contents[2]), (less, contents[3])):
        if content is None:
            (folder / file).unlink()
        else:
            (folder / file).write_bytes(content)
        with pytest.raises(ArchiveError, match=r"0\.parquet"):
            list(read_archive(folder))


@pytest.mark.parametrize("summary", [b"", b"[]", b'{"format":2,"records":{}}'])
def test_a_summary_that_cannot_be_read_is_told(summary: bytes, tmp_path: Path) -> None:
    """Broken, or of a later version."""
    folder = written(tmp_path / "a", ONE)
    (folder / "archive.json").write_bytes(summary)

    with pytest.raises(ArchiveError):
        read_summary(folder)


def test_a_log_and_an_archive_are_one_too_many(tmp_path: Path) -> None:
    """The command does not choose."""
    done = run("replay", path("market"), "--parquet", written(tmp_path / "a", ONE))

    assert (done.exit_code, "give one of them" in done.stderr) == (2, True)


def test_a_broken_log_is_not_exported(tmp_path: Path) -> None:
    """The line is told."""
    (tmp_path / "log").write_text("{")

    done = run("export", tmp_path / "a", "--log", tmp_path / "log")

    assert (done.exit_code, f"{tmp_path / 'log'}:1: " in done.stderr) == (2, True)
