"""One partition at work in this process, with all that it writes."""

from collections.abc import Sequence

import msgspec

from agents.share import Share
from agents.tenure import Tenure
from config.settings import Settings
from rotation.book import MemoryBook
from rotation.events import BorrowerEvent, CreditGrant, DrawdownOutcome, DrawdownRequest, Repayment, millis
from rotation.outputs import Decision
from rotation.plan import Plan
from rotation.waves import run_against
from streams.batches import PartitionBatch
from streams.log import LogRecord
from streams.topics import BORROWER_INPUTS

_TOPICS = dict(zip((CreditGrant, DrawdownRequest, DrawdownOutcome, Repayment), BORROWER_INPUTS, strict=True))


class OnePartition:
    """One partition as a worker works on it, batch by batch; `records` are its inputs and decisions so far."""

    def __init__(self, plan: Plan, records: Sequence[LogRecord] = ()) -> None:
        """`records` stand in the log before."""
        self.records = list(records)
        self._settings = Settings()
        self._plan = plan
        self._book = MemoryBook(plan.at(0).limits)
        self._state: dict[bytes, bytes] = {}
        self._tenure = Tenure({}, 0, 0.0)
        self._memo = b""

    def follow(self, plan: Plan) -> None:
        """Work under another plan from the next batch on."""
        self._plan = plan

    def batch(self, *events: BorrowerEvent, at: int | None = None) -> list[Decision]:
        """Work on one batch; its records are stamped with `at`, or their events' own times. Returns what it decided."""
        records = []
        for event in events:
            stamp = millis(event.occurred_at) if at is None else at
            records.append(self._append(_TOPICS[type(event)], event.customer_id, msgspec.json.encode(event), stamp))
        return self._work(records)

    def tick(self, elapsed: int) -> list[Decision]:
        """Let time alone pass (ms). Returns what is decided then."""
        return self._work([], elapsed)

    def _work(self, records: list[LogRecord], elapsed: int | None = None) -> list[Decision]:
        part = PartitionBatch(0, BORROWER_INPUTS, records, self._state, self._memo)
        share = Share(self._settings, part, self._tenure, self._plan, latest=None, elapsed=elapsed)
        for phase in self._plan.phases:
            self._book.limits = phase.policy.limits
            run_against(self._book, share.turns(phase))
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
