"""Replay: the same log and configuration give the same decisions, byte for byte.

Two ways. A log that holds the recorded decisions is *followed*: each decision says in its headers what its worker
had read by then, and its content says under which revision and funder states it was made and who had room, so the
core is led through exactly the same steps. A log of inputs alone is *run*, as one worker would that reads every
record by its timestamp and asks a reservation book in memory.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import merge

import msgspec

from agents.recorded import Log, Recorded
from agents.share import Share
from agents.tenure import Tenure
from config.settings import Settings
from rotation.book import MemoryBook
from rotation.decide import Steps, run_to_end
from rotation.events import CaptureSignal
from rotation.outputs import Decision
from rotation.plan import Plan
from rotation.reservations import Reserve, Reserved, Room, reservation_id
from rotation.rules import RESERVATION_CODES
from rotation.state import Borrower
from rotation.turn import Turn
from rotation.waves import run_against
from streams.batches import PartitionBatch
from streams.codec import BadInput, decode
from streams.headers import Position, trace_headers
from streams.log import LogRecord
from streams.topics import BORROWER_INPUTS


class _Made(msgspec.Struct):
    decision_id: str


_made = msgspec.json.Decoder(_Made)


def replay(settings: Settings, log: Log) -> Iterator[tuple[str, bytes]]:
    """Every decision of the log as (decision id, bytes), each once; follows recorded decisions where there are any."""
    seen: set[str] = set()
    for value in follow(log) if log.can_be_followed else run(settings, log):
        decision_id = _made.decode(value).decision_id
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
                self._recall_room(each.decision)
                self._do(turn, turn.revisit(each.decision.drawdown_id, each.decided_at))
            yield from (said.value for said in turn.decisions)

    def _recall_room(self, decision: Decision) -> None:
        """Who lacked room when a drawdown that expired was last tried: of tries in vain only the rejection tells."""
        drawdown = self._borrower.drawdowns.get(decision.drawdown_id)
        if drawdown is not None:
            drawdown.no_room = {
                code: [funder_id for funder_id, codes in decision.excluded.items() if code in codes]
                for code in RESERVATION_CODES
            }

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
        run_to_end(steps, self._answer)
        turn.take_operations()

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
