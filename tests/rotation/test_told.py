"""Invariant: what a partition tells funders' agents is numbered 1, 2, 3, … in the order in which it leaves.

By that they know what comes twice. The borrowers of a batch take turns, and events come from several topics, so no
offset of an input could serve.
"""

import random

import msgspec

from agents.share import Share
from agents.tenure import Tenure
from config.settings import Settings
from rotation.book import MemoryBook
from rotation.clock import DAY
from rotation.events import BorrowerEvent, CreditGrant, DrawdownOutcome, DrawdownRequest, millis
from rotation.plan import Plan
from rotation.waves import run_against
from streams.batches import Output, PartitionBatch, Record
from streams.headers import SOURCE_HEADER, Source, header
from streams.topics import BORROWER_INPUTS
from tests.rotation.play import KINDS, Move, Play
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, T0, grant, outcome, policy, request

BORROWERS = ("ann", "bob", "cai")
TOPICS = {CreditGrant: "credit-grants", DrawdownRequest: "drawdown-requests", DrawdownOutcome: "drawdown-outcomes"}


class Partition:
    """One partition, batch by batch."""

    def __init__(self) -> None:
        self._policy = policy(NO_ROTATION | ALWAYS_OPEN)
        self._book = MemoryBook(self._policy.limits)
        self._stored: dict[bytes, bytes] = {}
        self._memo, self._offsets = b"", dict.fromkeys(TOPICS.values(), 0)

    def handle(self, *events: BorrowerEvent) -> list[Output]:
        """One batch; what it says."""
        part = PartitionBatch(0, BORROWER_INPUTS, [self._record(e) for e in events], dict(self._stored), self._memo)
        tenure = Tenure({}, 0, 0.0)
        plan = Plan(self._policy)
        share = Share(Settings(clock="stream"), part, tenure, plan, latest=None, elapsed=None)
        run_against(self._book, share.turns(plan.phases[0]))
        result = share.result()
        self._stored.update((key, value) for key, value in result.changes.items() if value is not None)
        self._memo = result.memo
        return result.outputs

    def _record(self, event: BorrowerEvent) -> Record:
        topic, value = TOPICS[type(event)], msgspec.json.encode(event)
        self._offsets[topic] += 1
        at = millis(event.occurred_at)
        return Record(topic, 0, self._offsets[topic], at, event.customer_id.encode(), value, ())


def numbers(outputs: list[Output]) -> list[int]:
    """The numbers of what is told to funders' agents."""
    told = [each for each in outputs if each.topic == "funder-outcomes"]
    return [Source.decode(header(each.headers, SOURCE_HEADER) or b"").number for each in told]


def test_borrowers_who_take_turns_in_a_batch_are_told_of_in_order() -> None:
    """Three borrow, and their answers come mixed; three come back; a second answer of each follows the first ones."""
    partition = Partition()
    partition.handle(*(grant("cf-west", T0, customer_id=each) for each in BORROWERS))
    said: list[Output] = []
    for loan, at in enumerate((T0, T0 + DAY)):
        asked = [request(f"{each}-{loan}", at + 1, customer_id=each, amount=100_000) for each in BORROWERS]
        told = [outcome(f"{each}-{loan}", "cf-west", "disbursed", at + 2, customer_id=each) for each in BORROWERS]
        said += partition.handle(*asked, *reversed(told))
    assert numbers(said) == list(range(1, 10)), "six answers and three returns"


def test_whatever_happens_to_a_partition_is_told_of_in_order() -> None:
    """Random moves, in batches of one."""
    moves_of = random.Random(3)
    for _ in range(10):
        played = Play()
        for _ in range(80):
            played.do(Move(moves_of.choice(KINDS), *(moves_of.randrange(10_000) for _ in range(4))))
        outputs = [Output(r.topic, r.key or b"", r.value, r.timestamp, r.headers) for r in played.log]
        found = numbers(outputs)
        assert len(found) > 5
        assert found == list(range(1, len(found) + 1))
