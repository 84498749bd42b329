"""Spoilt records of the borrower topics, through the agent's way of a batch."""

from random import Random

import msgspec

from agents.share import Share
from agents.tenure import Tenure
from config.settings import Settings
from rotation.book import MemoryBook
from rotation.events import millis
from rotation.plan import Plan
from rotation.waves import run_against
from streams.batches import PartitionBatch, PartitionResult, Record
from streams.headers import header
from streams.topics import BORROWER_INPUTS
from tests.fuzz.spoil import spoil
from tests.rotation.world import ALWAYS_OPEN, CUSTOMER, NO_ROTATION, T0, grant, outcome, policy, repayment, request
from tests.worker.service import TRACE

_EVENTS = (
    grant("cf-west"),
    request("dd-1", T0 + 1),
    outcome("dd-1", "cf-west", "disbursed", T0 + 2),
    repayment("dd-1", "cf-west", 1, T0 + 3),
)


class BorrowerRecords:
    """One borrower with a loan; then one more record, of which value, key, headers or time is spoilt."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self._plan = Plan(policy(NO_ROTATION | ALWAYS_OPEN))
        self._memo = b""
        self._good = [
            Record(topic, 0, 0, millis(event.occurred_at), CUSTOMER.encode(), msgspec.json.encode(event), TRACE)
            for topic, event in zip(BORROWER_INPUTS, _EVENTS, strict=True)
        ]
        self._values = [record.value or b"" for record in self._good]
        for record in self._good:
            result = self._handled(record)
            self.stored.update((key, value) for key, value in result.changes.items() if value is not None)
            self._memo = result.memo

    def feed(self, chance: Random) -> bool:
        """A record that is refused becomes a dead letter as it is, and changes and says nothing else."""
        good = chance.choice(self._good)
        value, key, timestamp, headers = good.value or b"", good.key, good.timestamp + 10, good.headers
        match chance.randrange(20):
            case 0:
                key = chance.choice((None, spoil(key or b"", self._values, chance)))
            case 1:
                headers = tuple((name, spoil(text or b"", self._values, chance)) for name, text in headers)
            case 2:
                timestamp = chance.choice((-1, 0, 2**63 - 1, -(2**63), chance.getrandbits(50)))
            case _:
                value = spoil(value, self._values, chance)
        result = self._handled(Record(good.topic, 0, 1, timestamp, key, value, headers))
        letters = [output for output in result.outputs if output.topic == "dead-letters"]
        if not letters:
            return True
        (letter,) = result.outputs
        assert (letter.key, letter.value) == (key, value)
        assert header(letter.headers, "dlq.reason")
        assert result.changes == {}
        return False

    def _handled(self, record: Record) -> PartitionResult:
        part = PartitionBatch(0, BORROWER_INPUTS, [record], self.stored, self._memo)
        share = Share(Settings(clock="stream"), part, Tenure({}, 0, 0.0), self._plan, latest=None, elapsed=None)
        (phase,) = self._plan.phases
        run_against(MemoryBook(phase.policy.limits), share.turns(phase))
        return share.result()
