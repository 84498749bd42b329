"""Replay leads each attempt to the answer that it got, whatever the timestamps around it are."""

from collections.abc import Sequence

import msgspec

from agents.replay import Log, replay
from agents.share import Share
from agents.tenure import Tenure
from config.rotation import Revision
from config.settings import Settings
from rotation.book import MemoryBook
from rotation.clock import MINUTE
from rotation.events import BorrowerEvent
from rotation.outputs import Decision
from rotation.plan import Plan
from rotation.policy import Policy
from rotation.waves import run_against
from streams.batches import PartitionBatch
from streams.log import LogRecord
from streams.topics import BORROWER_INPUTS
from tests.rotation.world import NO_ROTATION, T0, configuration, grant, outcome, request

ONE_A_DAY = {**NO_ROTATION, "funders.cf-west.quota": {"daily_amount": 500_000_000, "daily_count": 1}}
FIRST = Revision(id=1, sha256="abc", config=configuration(ONE_A_DAY), canonical=b"")


class OnePartition:
    """One partition as a worker works on it, batch by batch; `records` are its inputs and decisions so far."""

    def __init__(self) -> None:
        self.records: list[LogRecord] = []
        self._settings = Settings()
        self._policy = Policy(FIRST, {}, -1)
        self._book = MemoryBook(self._policy.limits)
        self._state: dict[bytes, bytes] = {}
        self._tenure = Tenure({}, 0, 0.0)
        self._memo = b""

    def batch(self, *events: tuple[str, BorrowerEvent], at: int = T0) -> list[Decision]:
        """Work on one batch; all its records are stamped with the same millisecond. Returns what it decided."""
        records = [self._append(topic, event.customer_id, msgspec.json.encode(event), at) for topic, event in events]
        part = PartitionBatch(0, BORROWER_INPUTS, records, self._state, self._memo)
        share = Share(self._settings, part, self._tenure, Plan(self._policy), latest=None, elapsed=None)
        run_against(self._book, share.turns(self._policy))
        result = share.result()
        self._state.update((key, value) for key, value in result.changes.items() if value is not None)
        self._memo = result.memo
        share.settle()
        decided = [output for output in result.outputs if output.topic == "routing-decisions"]
        for output in decided:
            assert output.key is not None
            self._append(output.topic, output.key.decode(), output.value, output.timestamp, output.headers)
        return [msgspec.json.decode(output.value or b"", type=Decision) for output in decided]

    def _append(
        self, topic: str, key: str, value: bytes | None, at: int, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> LogRecord:
        offset = sum(record.topic == topic for record in self.records)
        record = LogRecord(topic, 0, offset, at, key.encode(), value, tuple(headers))
        self.records.append(record)
        return record


def test_held_and_routed_in_the_same_millisecond() -> None:
    """A hold for want of room, ended within the same millisecond of stream time, comes out as both decisions again."""
    partition = OnePartition()
    partition.batch(
        ("credit-grants", grant("cf-west", customer_id="ann")),
        ("credit-grants", grant("cf-west", customer_id="bob")),
        ("drawdown-requests", request("dd-ann", customer_id="ann")),
    )
    (held,) = partition.batch(("drawdown-requests", request("dd-bob", customer_id="bob")))
    partition.batch(("drawdown-outcomes", outcome("dd-ann", "cf-west", "declined", customer_id="ann")))
    (routed,) = partition.batch(("credit-grants", grant("bank-east", customer_id="bob", status="declined")))
    assert (held.status, routed.status, held.decided_at) == ("held", "routed", routed.decided_at)

    log = Log(partition.records, FIRST)

    assert dict(replay(Settings(), log)) == log.recorded()


def test_an_outcome_after_the_expiry() -> None:
    """An outcome that came when stream time had passed the expiry starts no attempt, though stamped before it."""
    partition = OnePartition()
    (first,) = partition.batch(
        ("credit-grants", grant("cf-west", customer_id="ann")),
        ("credit-grants", grant("cf-north", customer_id="ann")),
        ("drawdown-requests", request("dd-1", customer_id="ann", expires=T0 + MINUTE)),
    )
    partition.batch(("credit-grants", grant("cf-west", customer_id="bob")), at=T0 + 2 * MINUTE)
    declined = outcome("dd-1", first.funder_id or "", "declined", customer_id="ann")
    assert not partition.batch(("drawdown-outcomes", declined), at=T0)
    assert partition.batch(("drawdown-requests", request("dd-2", customer_id="ann")), at=T0 + 3 * MINUTE)

    log = Log(partition.records, FIRST)

    assert dict(replay(Settings(), log)) == log.recorded()
