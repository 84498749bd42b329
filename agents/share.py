"""One partition's share of a batch on its way through the core: its borrowers' turns, and what is written for them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from time import time

import msgspec

from agents.tenure import Tenure
from agents.trail import Trail
from config.settings import Settings
from rotation.decide import Steps
from rotation.events import BorrowerEvent, CaptureSignal, CreditGrant, DrawdownRequest
from rotation.fold import Moment
from rotation.outputs import FunderEvent, FunderOutcome, encode
from rotation.plan import Phase, Plan
from rotation.state import decode_borrower, encode_borrower
from rotation.turn import BEFORE_EVENTS, Said, Turn
from rotation.waves import FOREVER, Life
from streams import metrics
from streams.batches import Output, PartitionBatch, PartitionResult, Record
from streams.codec import AHEAD, BadInput, decode
from streams.deadletters import dead_letter
from streams.headers import POSITION_HEADER, SOURCE_HEADER, Position, Source, Trace, trace_headers, trace_id
from streams.topics import BORROWER_INPUTS, topic_name


class Step(msgspec.Struct, frozen=True):
    """One usable record: its event, where the partition stood with it, and its place among those of its batch."""

    record: Record
    event: BorrowerEvent
    position: Position
    place: int


class Memo(msgspec.Struct, array_like=True):
    """What a partition remembers besides its borrowers.

    Stream time (ms), the next offset of each input, and how many events it has told to the funders' agents.
    """

    clock: int
    offsets: list[int]
    told: int = 0


_memo_encoder = msgspec.msgpack.Encoder()
_memo_decoder = msgspec.msgpack.Decoder(Memo)


class Share:
    """The records of one partition number, grouped by borrower.

    `latest` is the wall clock (ms), None with the stream clock; `elapsed` is the wall clock when time alone may
    move this partition. Where another policy begins to hold while stream time goes from the last batch to this one's
    end, the share has several stages: what happens before that time, and then, beginning at that very time, the rest.
    `trail` gathers what is told of single decisions.
    """

    def __init__(
        self,
        settings: Settings,
        part: PartitionBatch,
        tenure: Tenure,
        plan: Plan,
        *,
        latest: int | None,
        elapsed: int | None,
        trail: Trail | None = None,
    ) -> None:
        self.partition = part.partition
        self._settings = settings
        self._part = part
        self._tenure = tenure
        self._plan = plan
        self._latest = latest
        self._trail = trail
        self._memo = _memo_decoder.decode(part.memo) if part.memo else Memo(0, [0] * len(BORROWER_INPUTS))
        self._outputs: list[Output] = []
        self._turns: dict[str, Turn] = {}
        self._before: dict[str, Position] = {}
        self._steps: dict[str, list[Step]] = {}
        self._unknown_fields: Counter[str] = Counter()
        self._tally: Counter[tuple[metrics.Counted, tuple[str, ...]]] = Counter()
        self._said: list[Said] = []
        self._caused: list[tuple[int, Trace]] = []
        self._gathered = 0
        self._begin = self._position(None)
        self._reached = max(self._memo.clock, tenure.reached)
        inputs = {topic_name(settings, name): index for index, name in enumerate(BORROWER_INPUTS)}
        for record in part.records:
            self._gather(record, inputs[record.topic])
        self._due = max(self._memo.clock, elapsed or 0)
        self._stages = plan.stages(self._reached, max(self._reached, self._due))

    def turns(self, phase: Phase) -> Iterator[Life[int]]:
        """The turn in this phase of each borrower that has an event here, or a drawdown that fell due.

        After a change of configuration or funder states also of each that has a drawdown held. They come in the order
        in which they may first ask the book. The phases of the plan are to be asked for in their order, when all turns
        in the one before are done.
        """
        stage = next((n for n, each in enumerate(self._stages) if each is phase), None)
        if stage is None:
            return
        last = stage + 1 == len(self._stages)
        until = self._due if last else min(self._due, self._stages[stage + 1].since - 1)
        steps = self._steps
        if len(self._stages) > 1:
            steps = {id_: some for id_, all_ in steps.items() if (some := self._in_stage(stage, all_))}
        retry: int | None = phase.since
        moments = {customer_id: self._moments(customer_id, some) for customer_id, some in steps.items()}
        if stage == 0:
            retry = None if self._tenure.phase == phase else self._begin.now if self._part.records else until
            woken = self._tenure.due(until) if retry is None else self._tenure.waiting()
        else:
            held = ((customer_id, turn.borrower.wake_at) for customer_id, turn in self._turns.items())
            woken = {**self._tenure.waiting(), **{customer_id: at for customer_id, at in held if at is not None}}
        for customer_id, at in woken.items():
            first = (at if retry is None else min(at, retry), BEFORE_EVENTS)
            moments[customer_id] = sorted([first, *moments.get(customer_id, ())])
        for _, customer_id in sorted([(some[0] if some else FOREVER, id_) for id_, some in moments.items()]):
            turn, policy = self._turns.get(customer_id), phase.of(customer_id)
            if turn is None:
                borrower = decode_borrower(self._part.state.get(customer_id.encode()))
                turn = self._turns[customer_id] = Turn(customer_id, borrower, policy)
            turn.policy = policy
            yield Life(
                self.partition,
                turn,
                self._run(turn, steps.get(customer_id, ()), retry, until),
                moments[customer_id],
            )

    @property
    def due(self) -> int:
        """How far stream time (ms) has come here."""
        return self._due

    def result(self) -> PartitionResult:
        """What is to be written for this partition."""
        changes: dict[bytes, bytes | None] = {}
        for turn in self._turns.values():
            key = turn.customer_id.encode()
            stored = encode_borrower(turn.borrower)
            if stored != self._part.state.get(key):
                changes[key] = stored
        return PartitionResult(changes, _memo_encoder.encode(self._memo), self._outputs)

    def settle(self) -> None:
        """The result is written: remember who wants to be woken when, and count."""
        for turn in self._turns.values():
            self._tenure.set_wake(turn.customer_id, turn.borrower.wake_at)
        self._tenure.phase = self._stages[-1]
        self._tenure.reached = max(self._reached, self._due)
        for topic, number in self._unknown_fields.items():
            metrics.UNKNOWN_FIELDS.labels(topic).inc(number)
        self._count()
        self._time()

    def _gather(self, record: Record, index: int) -> None:
        self._memo.offsets[index] = record.offset + 1
        policy = self._plan.at(max(self._reached, self._memo.clock, record.timestamp))
        event = decode(
            BORROWER_INPUTS[index],
            record.key,
            record.value,
            record.timestamp,
            known_funders=policy.limits,
            latest=None if self._latest is None else self._latest + AHEAD,
            unknown_fields=self._unknown_fields,
        )
        if isinstance(event, BadInput):
            self._refuse(record, event.reason, event.detail)
            return
        assert not isinstance(event, CaptureSignal), "a borrower topic holds events of borrowers"
        self._memo.clock = max(self._memo.clock, record.timestamp)
        if isinstance(event, DrawdownRequest) and event.exclude_funders:
            unknown = sum(funder_id not in policy.limits for funder_id in event.exclude_funders)
            self._tally[metrics.UNKNOWN_EXCLUSIONS, ()] += unknown
        self._gathered += 1
        step = Step(record, event, self._position(index), self._gathered)
        self._steps.setdefault(event.customer_id, []).append(step)

    def _position(self, cause: int | None) -> Position:
        return Position(tuple(self._memo.offsets), cause, self._memo.clock)

    def _in_stage(self, stage: int, steps: Sequence[Step]) -> list[Step]:
        """The steps that belong to a stage. What comes late belongs to the first, which stream time has reached."""
        since = self._stages[stage].since if stage else 0
        ends = self._stages[stage + 1].since if stage + 1 < len(self._stages) else None
        return [step for step in steps if since <= step.position.now and (ends is None or step.position.now < ends)]

    def _moments(self, customer_id: str, steps: Sequence[Step]) -> list[Moment]:
        """When these steps of a borrower may ask the book; a grant does only where a drawdown may be held by then."""
        holds = customer_id in self._tenure.waiting() or customer_id in self._turns
        if not holds and isinstance(steps[0].event, CreditGrant):
            steps = list(dropwhile(lambda step: isinstance(step.event, CreditGrant), steps))
        return [(step.position.now, step.place) for step in steps]

    def _run(self, turn: Turn, steps: Sequence[Step], retry: int | None, until: int) -> Steps[None]:
        """Let happen what does up to `until` (ms); before that try again at `retry` what is held."""
        before = self._before.get(turn.customer_id, self._begin)
        if retry is not None:
            yield from turn.reconsider(retry)
            self._publish(turn, before, ())
        for step in steps:
            trace = trace_headers(step.record.headers)
            refusal = yield from turn.handle(step.event, step.position.now, list(trace), place=step.place)
            self._publish(turn, before, trace, step)
            before = step.position
            if refusal is not None:
                self._refuse(step.record, refusal.reason, refusal.detail)
        yield from turn.wake(until)
        self._publish(turn, before, ())
        self._before[turn.customer_id] = before

    def _publish(self, turn: Turn, before: Position, trace: Trace, step: Step | None = None) -> None:
        """Put what the turn said since the last call into the outputs; `before` is where it stood then."""
        if not (turn.decisions or turn.applications or turn.for_funders):
            return
        key = turn.customer_id.encode()
        self._said += turn.decisions
        for said in turn.decisions:
            position = Position(before.offsets, None, before.now)
            if step is not None and not said.by_time:
                position = step.position
                if self._latest is not None:  # on the stream clock a record's age is the market's, not ours
                    self._caused.append((step.record.timestamp, trace))
            carried = tuple(said.trace) if said.by_time else trace
            self._say("routing-decisions", key, said.value, said.now, (*carried, (POSITION_HEADER, position.encode())))
            if self._trail is not None:
                self._trail.decided(said.value, carried, None if step is None or said.by_time else step.record)
        for application in turn.applications:
            self._say("credit-applications", key, encode(application), self._memo.clock, trace)
        for event in turn.for_funders:
            self._tell_funder(event, trace)
        turn.decisions, turn.applications, turn.for_funders = [], [], []

    def _tell_funder(self, event: FunderEvent, trace: Trace) -> None:
        if isinstance(event, FunderOutcome):
            if event.late:
                self._tally[metrics.LATE_DISBURSEMENTS, (event.funder_id,)] += 1
            self._tally[metrics.OUTCOMES, (event.funder_id, event.status)] += 1
        self._memo.told += 1
        source = (SOURCE_HEADER, Source(self.partition, self._memo.told).encode())
        self._say("funder-outcomes", event.funder_id.encode(), encode(event), event.occurred_at, (*trace, source))

    def _say(self, topic: str, key: bytes, value: bytes, timestamp: int, headers: Trace) -> None:
        # On the wall clock records are stamped when they leave: brokers delete by record time, and after a long pause
        # stream time may be older than what they keep.
        stamp = timestamp if self._latest is None else self._latest
        self._outputs.append(Output(topic_name(self._settings, topic), key, value, stamp, headers))

    def _refuse(self, record: Record, reason: str, detail: str) -> None:
        self._tally[metrics.DEAD_LETTERS, (reason,)] += 1
        self._outputs.append(dead_letter(self._settings, record, reason, detail))
        if self._trail is not None:
            self._trail.refused(record, reason)

    def _count(self) -> None:
        """Count what was said: by few keys, since every decision passes here."""
        made: dict[tuple[str, str, str | None], int] = {}
        money: dict[str, int] = {}
        excluded: dict[str, int] = {}
        for said in self._said:
            if said.status is None or said.made is None:
                self._tally[metrics.REPEATS, ()] += 1
                continue
            funder_id = said.routed_to
            kind = said.status, said.made.reasons[0], funder_id
            made[kind] = made.get(kind, 0) + 1
            for rule, funders in said.made.dropped.items():
                excluded[rule] = excluded.get(rule, 0) + funders.bit_count()
            if funder_id is not None:
                money[funder_id] = money.get(funder_id, 0) + said.amount
                for rule in said.made.relaxed:
                    self._tally[metrics.RELAXATIONS, (rule,)] += 1
        for (status, reason, routed_to), number in made.items():
            metrics.DECISIONS.labels(status, reason).inc(number)
            if routed_to is not None:
                metrics.ROUTED.labels(routed_to).inc(number)
        for funder_id, fen in money.items():
            metrics.ROUTED_FEN.labels(funder_id).inc(fen)
        for rule, number in excluded.items():
            metrics.EXCLUSIONS.labels(rule).inc(number)
        for (counted, labels), number in self._tally.items():
            (counted.labels(*labels) if labels else counted).inc(number)

    def _time(self) -> None:
        """Count how long it took from the records to the decisions that they caused."""
        now, caused = time(), self._caused
        delays = [now - at / 1000 for at, _ in caused]
        metrics.DECISION_DELAYS.observe(delays, now, lambda index: trace_id(caused[index][1]))
