"""Playing a story to a real worker step by step, and saving what then stands in its topics.

Each step is done, and what it makes of the funders' states is known to the worker, before the next one is told: so
the same story comes to the same decisions whenever it is played.
"""

import asyncio
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import yaml

from agents.funders import REFRESH
from cli.recorded import RECORDED
from config.revisions import encode_record, first_revision
from config.settings import Settings
from rotation.clock import MINUTE
from rotation.events import BorrowerEvent
from rotation.outputs import Decision, FunderState, encode
from streams.log import LogRecord, log_line
from streams.reading import read_topics
from tests.rotation.world import grant, outcome, request, time
from tests.worker.service import FIRST_DAY, Headers, Item, Service

#: What is recorded: all that a replay reads, and an input that it passes over.
TOPICS = (*RECORDED, "capture-signals")
LARGEST = 64 * 1024
_NOISE = (b"barrier", b'"drawdown_id":"dd-probe-')


class Story:
    """A story on its way: `now` (ms) is the stamp of what is told next."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.now = FIRST_DAY
        self._document: dict[str, Any] = yaml.safe_load(service.settings.config.read_text())
        self._revision = 1

    def after(self, milliseconds: int) -> None:
        """Let time go by; nobody is told."""
        self.now += milliseconds

    def tell(self, *events: BorrowerEvent, headers: Headers = ()) -> None:
        """Tell events, each with its own stamp, and wait until they are done."""
        self.service.tell(*events, headers=headers)
        for customer_id in dict.fromkeys(event.customer_id for event in events):
            self.service.settle(customer_id)

    def publish(self, topic: str, value: bytes | None, key: bytes | None, headers: Headers = ()) -> None:
        """Publish bytes as they are."""
        self.service.publish(Item(topic, value, key, self.now, headers))
        self.service.settle((key or b"").decode())
        self.after(MINUTE // 6)

    def grants(self, customer_id: str, *funder_ids: str, **more: Any) -> None:
        """Funders approve a line, one after the other."""
        told = []
        for funder_id in funder_ids:
            told.append(grant(funder_id, self.now, customer_id=customer_id, **more))
            self.after(MINUTE // 6)
        self.tell(*told)

    def ask(self, drawdown_id: str, *, headers: Headers = (), **more: Any) -> Decision:
        """A borrower (the middle of the id) asks; the decision on it."""
        customer_id = drawdown_id.split("-")[1]
        self.tell(request(drawdown_id, self.now, customer_id=customer_id, **more), headers=headers)
        self.after(MINUTE // 6)
        return self.latest(drawdown_id)

    def latest(self, drawdown_id: str) -> Decision:
        """The last decision on a drawdown."""
        return self.service.decisions(drawdown_id)[-1]

    def answer(self, decision: Decision, status: str, headers: Headers = (), **more: Any) -> None:
        """What became of a routed drawdown, so long after the last outcome that new pass rates are told at once.

        The worker knows them before the story goes on.
        """
        self.after(REFRESH)
        assert decision.funder_id is not None, f"{decision.decision_id} is {decision.status}: {decision.excluded}"
        fields: dict[str, Any] = {"customer_id": decision.customer_id, "attempt": decision.attempt} | more
        self.tell(outcome(decision.drawdown_id, decision.funder_id, status, self.now, **fields), headers=headers)
        self._settle_funders()
        self.after(MINUTE // 6)

    def pass_time(self) -> None:
        """Somebody else's grant moves the stream time of each partition to a little later."""
        self.after(MINUTE // 6)
        passersby = {self.service.partition(f"passerby{number}"): f"passerby{number}" for number in range(20)}
        self.tell(*(grant("cf-north", self.now, status="declined", customer_id=name) for name in passersby.values()))
        self.after(MINUTE // 6)

    def revise(self, change: Mapping[str, Any], *funders: tuple[str, Mapping[str, Any]]) -> None:
        """Make the next revision active: the first one with other sections, and other keys at some funders."""
        document = deepcopy(self._document) | dict(change)
        for funder_id, keys in funders:
            next(funder for funder in document["funders"] if funder["id"] == funder_id).update(keys)
        self._revision += 1
        revision = msgspec.structs.replace(first_revision(document), id=self._revision)
        record = encode_record(revision, author="risk", reason="the story wants it", occurred_at=time(self.now))
        self.service.publish(Item("rotation-config", record, b"config", self.now))
        self.service.revision = self._revision
        self.service.wait_guided()
        self.pass_time()

    def set_state(self, state: FunderState) -> None:
        """Tell where a funder stands on the ladder."""
        self.service.publish(Item("funder-states", encode(state), state.funder_id.encode(), self.now))
        self._learn_states()
        self.pass_time()

    def _settle_funders(self) -> None:
        """Wait until the funders' agent has counted all outcomes, and the worker knows the rates it published."""
        for _ in range(2):
            barriers = []
            for partition in range(self.service.settings.partitions):
                value = b"barrier %d" % self.service.number()
                key = self.service.customer(partition).encode()
                self.service.publish(Item("capture-signals", value, key))
                barriers.append(value)
            self.service.until(lambda told=barriers: self._refused(told))  # type: ignore[misc]
        self._learn_states()

    def _refused(self, values: Iterable[bytes]) -> bool:
        return set(values) <= {record.value for record in self.service.said("dead-letters")}

    def _learn_states(self) -> None:
        known = self.service.states_version
        self.service.settle(self.service.customer())
        self.service.states_version = max([known, *(record.offset for record in self.service.said("funder-states"))])
        if self.service.states_version > known:
            self.service.wait_guided()


def recorded(settings: Settings) -> list[LogRecord]:
    """What stands in the topics, without what only kept the steps apart and what is too large for a file here."""

    async def read() -> list[LogRecord]:
        return [record async for record in read_topics(settings, TOPICS)]

    return sorted(filter(_is_story, asyncio.run(read())), key=lambda r: (TOPICS.index(r.topic), r.partition, r.offset))


def _is_story(record: LogRecord) -> bool:
    value = record.value or b""
    return len(value) <= LARGEST and not any(noise in value for noise in _NOISE)


def save(records: Iterable[LogRecord], path: Path) -> None:
    """Write a log."""
    path.write_bytes(b"".join(map(log_line, records)))
