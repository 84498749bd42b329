"""Recorded traffic as Parquet: a folder for each topic, in it a file for each partition, a row for each record.

A row holds the record as it was (topic, partition, offset, timestamp, key, headers, value), in the order of offsets,
so that a replay of an archive is a replay of the topics. `archive.json` is written last: without it, or when it counts
other rows than there are, the archive is not whole and is refused.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from streams.log import LogRecord

SUMMARY = "archive.json"
FORMAT = 1
_ROWS = 20_000
_HEADERS = pa.list_(pa.struct([pa.field("name", pa.string(), nullable=False), pa.field("value", pa.binary())]))
_SCHEMA = pa.schema(
    [
        pa.field("topic", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("timestamp", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("key", pa.binary()),
        pa.field("headers", _HEADERS, nullable=False),
        pa.field("value", pa.binary()),
    ]
)


class ArchiveError(Exception):
    """A folder is no archive, is not a whole one, or cannot be written into: says why."""


class Summary(msgspec.Struct, frozen=True):
    """What an archive holds: how many records of each partition of each topic (contract names)."""

    format: int
    records: dict[str, dict[int, int]]

    def of(self, topic: str) -> int:
        """How many records of a topic there are."""
        return sum(self.records.get(topic, {}).values())

    def partitions(self) -> list[int]:
        """The partition numbers that hold anything."""
        return sorted({partition for each in self.records.values() for partition in each})


class ArchiveWriter:
    """Writes an archive into an empty folder, which is made; leaving its context normally completes it.

    The records of one partition must come in the order of offsets.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `ArchiveError` when the folder holds anything or cannot be written into."""
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise ArchiveError(f"{folder} is not empty")
            TemporaryFile(dir=folder).close()
        self._folder = folder
        self._waiting: dict[tuple[str, int], list[LogRecord]] = {}
        self._files: dict[tuple[str, int], pq.ParquetWriter] = {}
        self._counts: Counter[tuple[str, int]] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _writing(self._folder):
            try:
                if error is None:
                    for place in self._waiting:
                        self._flush(place)
            finally:
                for file in self._files.values():
                    file.close()
            if error is None:
                (self._folder / SUMMARY).write_bytes(msgspec.json.encode(self.summary()) + b"\n")

    def write(self, record: LogRecord) -> None:
        """Add one record; raises `ArchiveError` when the folder cannot be written into any more."""
        place = (record.topic, record.partition)
        waiting = self._waiting.setdefault(place, [])
        waiting.append(record)
        if len(waiting) == _ROWS:
            with _writing(self._folder):
                self._flush(place)

    def summary(self) -> Summary:
        """What was written so far."""
        records: dict[str, dict[int, int]] = {}
        for topic, partition in sorted(self._counts):
            records.setdefault(topic, {})[partition] = self._counts[topic, partition]
        return Summary(FORMAT, records)

    def _flush(self, place: tuple[str, int]) -> None:
        rows, self._waiting[place] = self._waiting[place], []
        if not rows:
            return
        if place not in self._files:
            path = _path(self._folder, *place)
            path.parent.mkdir(exist_ok=True)
            self._files[place] = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
        self._files[place].write_batch(_batch(rows))
        self._counts[place] += len(rows)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchiveError(f"{folder} cannot be written into: {error.strerror or error}") from None


def read_summary(folder: Path) -> Summary:
    """What an archive holds; raises `ArchiveError`."""
    try:
        summary = msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Summary)
    except OSError:
        raise ArchiveError(f"{folder} is no archive, or not a whole one: it has no {SUMMARY}") from None
    except msgspec.DecodeError as error:
        raise ArchiveError(f"{folder / SUMMARY}: {error}") from None
    if summary.format != FORMAT:
        raise ArchiveError(f"{folder} is of format {summary.format}, this software knows {FORMAT}")
    return summary


def read_archive(folder: Path) -> Iterator[LogRecord]:
    """Every record of an archive, partition by partition; raises `ArchiveError`."""
    summary = read_summary(folder)
    for topic, partitions in summary.records.items():
        for partition in partitions:
            yield from read_partition(folder, summary, topic, partition)


def read_partition(folder: Path, summary: Summary, topic: str, partition: int) -> Iterator[LogRecord]:
    """The records of one partition of a topic, by offset; none when there is no such. Raises `ArchiveError`."""
    left = summary.records.get(topic, {}).get(partition, 0)
    if not left:
        return
    path = _path(folder, topic, partition)
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS):
                left -= batch.num_rows
                yield from _records(topic, partition, batch)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise ArchiveError(f"{path}: {error}") from None
    if left:
        raise ArchiveError(f"{path}: holds {abs(left)} records {'less' if left > 0 else 'more'} than {SUMMARY} says")


def _path(folder: Path, topic: str, partition: int) -> Path:
    return folder / topic / f"{partition}.parquet"


def _batch(rows: list[LogRecord]) -> Any:
    columns: list[Iterable[Any]] = [
        [row.topic for row in rows],
        [row.partition for row in rows],
        [row.offset for row in rows],
        [row.timestamp for row in rows],
        [row.key for row in rows],
        [[{"name": name, "value": value} for name, value in row.headers] for row in rows],
        [row.value for row in rows],
    ]
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=_SCHEMA)


def _records(topic: str, partition: int, batch: Any) -> Iterator[LogRecord]:
    headers = batch["headers"]
    bounds, entries = headers.offsets.to_pylist(), headers.values
    pairs = list(zip(entries.field("name").to_pylist(), entries.field("value").to_pylist(), strict=True))
    yield from (
        LogRecord(topic, partition, offset, timestamp, key, value, tuple(pairs[first:last]))
        for offset, timestamp, key, value, first, last in zip(
            batch["offset"].to_pylist(),
            batch["timestamp"].cast(pa.int64()).to_pylist(),
            batch["key"].to_pylist(),
            batch["value"].to_pylist(),
            bounds,
            bounds[1:],
            strict=False,
        )
    )
