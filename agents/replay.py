"""Replay: the same log and configuration give the same decisions, byte for byte.

Two ways. A log that holds the recorded decisions is *followed*: each decision says in its headers what its worker
had read by then, and its content says under which revision and funder states it was made and who had room, so the
core is led through exactly the same steps. A log of inputs alone is *run*, as one worker would that reads every
record by its timestamp and asks a reservation book in memory.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from heapq import merge
from typing import Self

import msgspec

from agents.share import Share
from agents.tenure import Tenure
from config.lifecycle import Lifecycle, advance
from config.problems import ConfigError
from config.rotation import Revision
from config.settings import Settings
from rotation.book import MemoryBook
from rotation.decide import Steps
from rotation.events import CaptureSignal, millis
from rotation.outputs import Decision, FunderState
from rotation.plan import Plan
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved, Room, reservation_id
from rotation.state import Borrower
from rotation.turn import Turn
from rotation.waves import run_against
from streams.batches import PartitionBatch
from streams.codec import UNREADABLE, BadInput, decode, read_state
from streams.deadletters import DeadLetter
from streams.headers import POSITION_HEADER, Position, header, trace_headers
from streams.log import LogRecord
from streams.topics import BORROWER_INPUTS

_decision_decoder = msgspec.json.Decoder(Decision)


UNKNOWN = Position((), None, 0)


class Recorded(msgspec.Struct, frozen=True):
    """A decision as it stands in a log, and where its worker was; `UNKNOWN` when the decision does not say."""

    decision: Decision
    value: bytes
    position: Position

    @classmethod
    def read(cls, record: LogRecord) -> Self:
        """Read a record of `routing-decisions`; raises `ValueError` for one that no worker wrote."""
        value = record.value or b""
        position = header(record.headers, POSITION_HEADER)
        try:
            return cls(
                _decision_decoder.decode(value), value, UNKNOWN if position is None else Position.decode(position)
            )
        except ValueError as error:
            where = f"{record.topic}, partition {record.partition}, offset {record.offset}"
            raise ValueError(f"{where}: not a decision with its {POSITION_HEADER} header: {error}") from None

    @property
    def decided_at(self) -> int:
        """When it was made (ms)."""
        return _millis(self.decision.decided_at)


class Log:
    """A recorded log, sorted by what replay needs.

    `inputs` are those that no worker refused, `refused` the topic, partition and offset of the others; `states` are
    offset, timestamp (ms) and content of each record of `funder-states`; `lifecycle` is what stands at the end
    of the log, `revisions` all that were ever made.
    """

    def __init__(self, records: Iterable[LogRecord], configuration: Revision | None) -> None:
        """`configuration` is used when the log holds no revision of the same content.

        Raises:
            ValueError: there is neither a configuration nor a revision in the log, or a decision cannot be read.
        """
        self.inputs: list[LogRecord] = []
        self.decisions: list[Recorded] = []
        self.refused: set[tuple[str, int, int]] = set()
        self.states: list[tuple[int, int, FunderState]] = []
        self.lifecycle = Lifecycle()
        self._lifecycles: list[tuple[int, Lifecycle]] = []
        self._latest = 0
        for record in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
            self._take(record)
        self.inputs = [each for each in self.inputs if (each.topic, each.partition, each.offset) not in self.refused]
        waits = self.lifecycle.scheduled
        if waits is not None and millis(waits.since) <= self._latest:
            self.lifecycle = self.lifecycle.at(waits.since)
        self.revisions = dict(self.lifecycle.revisions)
        logged = {revision.sha256 for revision in self.revisions.values()}
        if configuration is not None and configuration.sha256 not in logged:
            self.revisions = {configuration.id: configuration}
            self._lifecycles = [(0, Lifecycle(self.revisions))]
        if not self.revisions:
            raise ValueError("the log holds no rotation-config record: give the configuration")
        self.funder_ids = frozenset(f.id for revision in self.revisions.values() for f in revision.config.funders)
        self._policies: dict[tuple[int, int], Policy] = {}

    def policy(self, revision: int, states_version: int) -> Policy:
        """The policy of a decision. A revision that the log does not hold is taken to be the given one."""
        key = (revision, states_version)
        if key not in self._policies:
            known = self.revisions
            states = {state.funder_id: state for offset, _, state in self.states if offset <= states_version}
            self._policies[key] = Policy(known.get(revision, known[max(known)]), states, states_version, known)
        return self._policies[key]

    def plan_at(self, timestamp: int) -> Plan:
        """The policies that records stamped up to `timestamp` (ms) make, and from which stream time each holds."""
        lifecycle = next((made for at, made in reversed(self._lifecycles) if at <= timestamp), self._lifecycles[0][1])
        version = max((offset for offset, at, _ in self.states if at <= timestamp), default=-1)
        first, *later = lifecycle.plan()
        timed = [(millis(each.since), self.policy(each.revision.id, version), each.share) for each in later]
        return Plan(self.policy(first.revision.id, version), *timed)

    def changes(self) -> list[int]:
        """When (ms) a record changed the configuration, or a funder's state, in order."""
        return sorted({at for at, _ in self._lifecycles} | {at for _, at, _ in self.states})

    def recorded(self) -> dict[str, bytes]:
        """The bytes of each recorded decision by its id; none where its repeats differ."""
        found: dict[str, bytes] = {}
        for each in self.decisions:
            decision_id = each.decision.decision_id
            # Whoever said two things is to be heard with what no replay says.
            found[decision_id] = each.value if found.get(decision_id, each.value) == each.value else b""
        return found

    def _take(self, record: LogRecord) -> None:
        self._latest = max(self._latest, record.timestamp)
        match record.topic:
            case "routing-decisions":
                self.decisions.append(Recorded.read(record))
            case "dead-letters":
                letter = DeadLetter.read(record)
                # As on the broker, under a prefix that need not be that of this process.
                name = next((name for name in BORROWER_INPUTS if letter.topic.endswith(name)), letter.topic)
                self.refused.add((name, letter.source_partition, letter.source_offset))
            case "rotation-config":
                before = self.lifecycle.plan()
                with suppress(ConfigError):  # as the workers do: what stood before it stays
                    self.lifecycle = advance(self.lifecycle, record.value or b"")
                if self.lifecycle.plan() != before:
                    self._lifecycles.append((record.timestamp, self.lifecycle))
            case "funder-states":
                with suppress(*UNREADABLE):  # the workers refused it, and kept what stood before it
                    self.states.append((record.offset, record.timestamp, read_state(record.value)))
            case topic if topic in BORROWER_INPUTS:
                self.inputs.append(record)
            case _:
                pass


def replay(settings: Settings, log: Log) -> Iterator[tuple[str, bytes]]:
    """Every decision of the log as (decision id, bytes), each once; follows recorded decisions where there are any."""
    seen: set[str] = set()
    positioned = log.decisions and all(each.position is not UNKNOWN for each in log.decisions)
    for value in follow(log) if positioned else run(settings, log):
        decision_id = _decision_decoder.decode(value).decision_id
        if decision_id not in seen:
            seen.add(decision_id)
            yield decision_id, value


def follow(log: Log) -> Iterator[bytes]:
    """Lead each borrower through the steps that the recorded decisions tell of."""
    decisions: dict[str, list[Recorded]] = defaultdict(list)
    for each in log.decisions:
        decisions[each.decision.customer_id].append(each)
    inputs: dict[str, list[LogRecord]] = defaultdict(list)
    for record in log.inputs:
        inputs[(record.key or b"").decode(errors="replace")].append(record)
    for customer_id, recorded in decisions.items():
        yield from _Followed(log, customer_id, inputs[customer_id], recorded).values()


class _Followed:
    """One borrower, led along their recorded decisions."""

    def __init__(self, log: Log, customer_id: str, inputs: Sequence[LogRecord], recorded: Sequence[Recorded]) -> None:
        self._log = log
        self._customer_id = customer_id
        self._borrower = Borrower()
        self._recorded = recorded
        self._waiting = [[r for r in inputs if r.topic == topic] for topic in BORROWER_INPUTS]
        # One attempt may be held and then routed within the same millisecond of stream time: the position tells which
        # answer belongs to which.
        self._answers = {
            (
                reservation_id(customer_id, each.decision.drawdown_id, each.decision.attempt),
                each.decided_at,
                each.position,
            ): each
            for each in recorded
        }
        self._position = Position((), None, 0)

    def values(self) -> Iterator[bytes]:
        for each in self._recorded:
            policy = self._log.policy(each.decision.config_revision, each.decision.funder_states_version)
            turn = Turn(self._customer_id, self._borrower, policy)
            self._position = each.position
            cause = self._read_up_to(turn, each.position)
            if cause is not None:
                self._do(turn, self._handle(turn, cause, each.position.now, quiet=False))
            elif each.position.cause is None:
                self._do(turn, turn.revisit(each.decision.drawdown_id, each.decided_at))
            yield from (said.value for said in turn.decisions)

    def _read_up_to(self, turn: Turn, position: Position) -> LogRecord | None:
        """Fold in what was read before the cause; the cause itself, unless an earlier decision had it too."""
        read: list[list[LogRecord]] = []
        cause = None
        for index, waiting in enumerate(self._waiting):
            upto = [record for record in waiting if record.offset < position.offsets[index]]
            self._waiting[index] = waiting[len(upto) :]
            if index == position.cause and upto and upto[-1].offset == position.offsets[index] - 1:
                cause = upto.pop()
            read.append(upto)
        for record in merge(*read, key=lambda r: r.timestamp):
            self._do(turn, self._handle(turn, record, record.timestamp, quiet=True))
        return cause

    def _handle(self, turn: Turn, record: LogRecord, now: int, *, quiet: bool) -> Steps[object]:
        event = decode(
            record.topic, record.key, record.value, record.timestamp, known_funders=self._log.funder_ids, latest=None
        )
        if isinstance(event, BadInput | CaptureSignal):
            return _nothing()
        return turn.handle(event, now, list(trace_headers(record.headers)), quiet=quiet)

    def _do(self, turn: Turn, steps: Steps[object]) -> None:
        """Run steps to their end, answering reservations from the recorded decisions."""
        try:
            asked = next(steps)
            while True:
                asked = steps.send(self._answer(asked))
        except StopIteration:
            turn.operations.clear()

    def _answer(self, asked: Reserve) -> Reserved:
        recorded = self._answers.get((asked.id, asked.now, self._position))
        chosen = None if recorded is None else recorded.decision.funder_id
        excluded = {} if recorded is None else recorded.decision.excluded
        before = asked.candidates[: asked.candidates.index(chosen)] if chosen in asked.candidates else asked.candidates
        return Reserved(
            funder_id=chosen if chosen in asked.candidates else None,
            passed_over=tuple((funder_id, _room_code(excluded.get(funder_id, []))) for funder_id in before),
        )


def run(settings: Settings, log: Log) -> Iterator[bytes]:
    """Do what one worker on the stream clock would do that reads all inputs by their timestamps.

    A change of the configuration or of the funders' states is known after the inputs of the same millisecond, which
    may have caused it, and has every held drawdown tried again.
    """
    by_topic: dict[tuple[str, int], list[LogRecord]] = defaultdict(list)
    for record in log.inputs:
        by_topic[record.topic, record.partition].append(record)
    in_topic_order = (by_topic[key] for key in sorted(by_topic, key=lambda k: (BORROWER_INPUTS.index(k[0]), k[1])))
    worker = _Worker(settings, log.plan_at(-1))
    changes = log.changes()
    for record in merge(*in_topic_order, key=lambda r: r.timestamp):
        while changes and changes[0] < record.timestamp:
            yield from worker.take(log.plan_at(changes.pop(0)))
        yield from worker.read(record)
    for at in changes:
        yield from worker.take(log.plan_at(at))


class _Worker:
    """One worker's partitions, with a reservation book in memory."""

    def __init__(self, settings: Settings, plan: Plan) -> None:
        self._settings = settings
        self._plan = plan
        self._book = MemoryBook(plan.at(0).limits)
        self.states: dict[int, dict[bytes, bytes]] = defaultdict(dict)
        self._tenures: dict[int, Tenure] = {}
        self._memos: dict[int, bytes] = {}

    def take(self, plan: Plan) -> Iterator[bytes]:
        """Work under another plan from now on: where another policy holds, what is held is tried again."""
        if plan.phases != self._plan.phases:
            self._plan = plan
            for partition in sorted(self._tenures):
                yield from self._work(partition, [])

    def read(self, record: LogRecord) -> Iterator[bytes]:
        """Read one input."""
        self._tenures.setdefault(record.partition, Tenure({}, 0, 0.0))
        named = msgspec.structs.replace(record, topic=self._settings.topic_prefix + record.topic)
        yield from self._work(record.partition, [named])

    def _work(self, partition: int, records: list[LogRecord]) -> Iterator[bytes]:
        state, tenure = self.states[partition], self._tenures[partition]
        part = PartitionBatch(partition, BORROWER_INPUTS, records, state, self._memos.get(partition, b""))
        share = Share(self._settings, part, tenure, self._plan, latest=None, elapsed=None)
        for phase in self._plan.phases:
            turns = list(share.turns(phase))
            if turns and self._book.limits is not phase.policy.limits:
                self._book.limits = phase.policy.limits
            run_against(self._book, turns)
        result = share.result()
        state.update((key, value) for key, value in result.changes.items() if value is not None)
        self._memos[partition] = result.memo
        share.settle()
        decisions = self._settings.topic_prefix + "routing-decisions"
        yield from (output.value or b"" for output in result.outputs if output.topic == decisions)


def _room_code(codes: Sequence[str]) -> Room:
    """Why the book passed a funder over, from its recorded exclusion codes."""
    return "guarantee_ratio" if "guarantee_ratio" in codes else "quota_exhausted"


def _nothing() -> Steps[object]:
    yield from ()
    return None


def _millis(time: str) -> int:
    return millis(datetime.fromisoformat(time))
