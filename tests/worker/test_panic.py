"""Law: the ladder pauses no more funders than `paused_at_most`, however many are alarmed for at once.

The funders' agent gets batches as a worker hands them on. What it says is read back when the test lets it.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import faust
import msgspec
import pytest

from agents.funders import FunderBook
from capture import canaries
from capture.record import FunderRecord, decode_funder, encode_funder
from config.revisions import encode_record, first_revision
from config.settings import Settings
from market.publication import moment
from rotation.clock import DAY, MINUTE, rfc3339
from rotation.events import CaptureSignal
from rotation.outputs import FunderState, encode
from streams.batches import Batch, PartitionBatch, PartitionResult, Record, Revoked
from streams.guide import Guide
from streams.topics import partition_of
from tests.rotation.world import T0, configuration

SETTINGS = dataclasses.replace(Settings(), clock="stream", partitions=3)
TOPICS = ("funder-outcomes", "capture-signals")
FUNDERS = [f"funder-{number}" for number in range(10)]
AT_MOST = 5


class Market:
    """Ten funders, throttled already, of which half may be paused; those of `switched_off` are by configuration."""

    def __init__(self, switched_off: Iterable[str] = ()) -> None:
        self._guide = Guide(SETTINGS, _unwanted)
        self.tables: dict[int, dict[bytes, bytes]] = {number: {} for number in range(SETTINGS.partitions)}
        self._unread: list[Record] = []
        self._offset = self._batch = 0
        self._say("rotation-config", b"config", _configured(set(switched_off)))
        for funder_id in FUNDERS:
            state = FunderState(funder_id, {}, "throttled", 0.5, rfc3339(T0 - DAY), "canary of canaries", 7)
            self.tables[_partition(funder_id)][funder_id.encode()] = encode_funder(_throttled(state))
            self._say("funder-states", funder_id.encode(), encode(state))
        self.read_back()
        self.restart()

    def restart(self) -> None:
        """Another worker goes on with the same tables, and knows nothing else that the first one knew."""
        self._book = FunderBook(SETTINGS, self._guide)

    def read_back(self) -> None:
        """The guide reads all that was published."""
        for record in self._unread:
            topic = {"rotation-config": self._guide._config, "funder-states": self._guide._states}.get(record.topic)
            if topic is not None:
                self._guide._take({topic: [record]})
        self._unread = []

    def alarm(self, *batches: Iterable[str], fails: bool = False) -> None:
        """Batch by batch, a minute apart, one more canary of each of these funders is called.

        A batch that `fails` is never written.
        """
        asyncio.run(self._book.run(cast("faust.Stream[Batch]", self._batches(batches, fails=fails))))

    def paused(self) -> list[str]:
        """Who is by the ladder, as the tables have it."""
        records = {key.decode(): decode_funder(value) for table in self.tables.values() for key, value in table.items()}
        return [name for name, each in records.items() if each.state is not None and each.state.state == "paused"]

    async def _batches(self, batches: Iterable[Iterable[str]], *, fails: bool) -> AsyncIterator[Batch]:
        for funders in batches:
            self._batch += 1
            parts = [
                PartitionBatch(number, TOPICS, self._calls(number, funders), dict(table), b"")
                for number, table in self.tables.items()
            ]
            yield Batch(parts, 1, {0: {}}, _revoked if fails else self._commit, lambda _: None)

    def _calls(self, partition: int, funders: Iterable[str]) -> list[Record]:
        at = T0 + self._batch * MINUTE
        return [
            Record("capture-signals", partition, 0, at, name.encode(), encode(_call(name, self._batch + 1, at)))
            for name in funders
            if _partition(name) == partition
        ]

    async def _commit(self, _: Batch, results: Mapping[int, PartitionResult]) -> None:
        for number, result in results.items():
            for key, value in result.changes.items():
                assert value is not None
                self.tables[number][key] = value
            for said in result.outputs:
                self._say(said.topic, said.key or b"", said.value or b"")

    def _say(self, topic: str, key: bytes, value: bytes) -> None:
        self._offset += 1
        self._unread.append(Record(topic, 0, self._offset, T0, key, value))


def test_all_are_alarmed_for_in_one_batch() -> None:
    """Of every partition: half of the funders are paused, the others stay throttled."""
    market = Market()
    market.alarm(FUNDERS)
    assert len(market.paused()) == AT_MOST


def test_the_next_batch_comes_before_the_first_is_read_back() -> None:
    """What the first one paused counts, read back or not."""
    market = Market()
    market.alarm(FUNDERS[:4], FUNDERS[4:])
    assert set(FUNDERS[:4]) < set(market.paused())
    assert len(market.paused()) == AT_MOST
    market.read_back()
    market.alarm(FUNDERS)
    assert len(market.paused()) == AT_MOST


def test_a_worker_takes_over_before_it_has_read_what_was_said() -> None:
    """The tables that it takes over tell who is paused, in whichever partition."""
    market = Market()
    market.alarm(FUNDERS[:AT_MOST])
    market.restart()
    market.alarm(FUNDERS[AT_MOST:])
    assert sorted(market.paused()) == FUNDERS[:AT_MOST]


def test_who_is_switched_off_by_configuration_counts() -> None:
    """Two of ten are: three more may be paused."""
    market = Market(switched_off=FUNDERS[:2])
    market.alarm(FUNDERS[2:])
    assert len(market.paused()) == AT_MOST - 2


def test_what_was_never_written_does_not_count() -> None:
    """The batch comes again, and pauses as many as it would have."""
    market = Market()
    market.alarm(FUNDERS[:AT_MOST], fails=True)
    assert market.paused() == []
    market.alarm(FUNDERS[AT_MOST:])
    assert sorted(market.paused()) == FUNDERS[AT_MOST:]


def _configured(switched_off: set[str]) -> bytes:
    """The first revision, as the log has it: the shipped one with ten like its first funder."""
    document: dict[str, Any] = msgspec.to_builtins(
        configuration({"capture.ladder.pause_needs_approval": False, "capture.ladder.paused_at_most": 0.5})
    )
    like = document["funders"][0]
    document["funders"] = [
        {**like, "id": name, "status": "paused" if name in switched_off else "active"} for name in FUNDERS
    ]
    revision = first_revision(document)
    return encode_record(revision, author="anna", reason="a test", occurred_at=datetime(2026, 1, 1, tzinfo=UTC))


def _throttled(state: FunderState) -> FunderRecord:
    """Two of its five canaries were called; it has been throttled for that."""
    record = FunderRecord(called=2, state=state, published={}, calm_since=T0 - DAY)
    for number in range(5):
        canaries.saw(record, f"staff-{number}", T0 - 10 * DAY)
    for number in range(2):
        canaries.called(record, f"staff-{number}", T0 - DAY)
    return record


def _call(funder_id: str, number: int, at: int) -> CaptureSignal:
    return CaptureSignal(
        event_id=f"call-{number}-{funder_id}",
        occurred_at=moment(at),
        funder_id=funder_id,
        kind="canary_contacted",
        customer_id=f"staff-{number}",
    )


def _partition(funder_id: str) -> int:
    return partition_of(funder_id.encode(), SETTINGS.partitions)


async def _revoked(_: Batch, results: Mapping[int, PartitionResult]) -> None:
    raise Revoked


def _unwanted() -> Any:
    pytest.fail("the log has a revision")
