"""One partition's traffic, replayed twice in one pass: as it was, and as the draft would have had it.

*As it was*: recorded decisions are applied, nothing is decided; before each first decision on a drawdown the draft is
asked what it would have chosen for that borrower at that moment. That makes the samples of `whatif.estimate`.

*As the draft would have it*: the draft decides every recorded request, on ledgers that its own decisions made. What
became of a drawdown at a funder is what the record says of that drawdown and funder; where it says nothing, an answer
is drawn by the share of loans among that funder's answers so far, and a loan that the record does not have is settled
after as long as another one was, only so that ledgers go on. That makes the tallies.
"""

from array import array
from collections import defaultdict, deque
from collections.abc import Iterable
from functools import partial
from hashlib import blake2b
from heapq import heappop, heappush, merge
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np

from rotation.clock import MINUTE, shanghai_day
from rotation.decide import Steps, decide
from rotation.events import BorrowerEvent, DrawdownOutcome, DrawdownRequest, Repayment
from rotation.ledger import ask_of
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved, Room, reservation_id
from rotation.state import Borrower, Drawdown, LedgerEntry
from rotation.turn import Turn
from whatif.book import LaneBook
from whatif.estimate import BLOCKS, NOBODY, Samples
from whatif.history import History
from whatif.overlap import moved_weight
from whatif.recorded import Moment, Recorded, Records, Result
from whatif.tally import Tally

#: How long a funder takes to answer where the record does not say.
_ANSWER = 10 * MINUTE
_WHOLE = 2.0**64
#: Of how many recorded loans, the last ones settled, one tells how long a loan lasts that the record does not have.
_DONORS = 100
#: How many answers the platform's own pass rate counts for beside the recorded ones.
_BELIEF = 20
_COLUMNS = (("block", "q"), ("chosen", "q"), ("draft", "q"), ("covered", "b"), ("weight", "d"))
_VALUES = 3


class Side:
    """The borrowers, the book and the counts of one of the two replays."""

    def __init__(self, book: LaneBook) -> None:
        self.borrowers: defaultdict[str, Borrower] = defaultdict(Borrower)
        self.book = book
        self.tally = Tally()

    def close(self) -> Tally:
        """The counts at the end."""
        self.tally.close(self.borrowers.values(), self.book.held())
        return self.tally


class Outcome(msgspec.Struct):
    """What one partition, or several, came to. `guessed` of the draft's `answers` were drawn by pass rate."""

    before: Tally
    after: Tally
    samples: Samples
    in_flight: int = 0
    answers: int = 0
    guessed: int = 0


class Lane:
    """One partition on its way; `requests` of it are done."""

    def __init__(self, records: Records, history: History) -> None:
        self._records = records
        self._history = history
        self._was = Side(LaneBook(Policy(history.active, {}, -1).limits))
        self._drafted = Side(LaneBook(history.base.limits))
        self.book = self._drafted.book
        self.requests = 0
        self._clock = 0
        self._version = -1
        self._asked: dict[str, DrawdownRequest] = {}
        self._sampled: set[str] = set()
        self._scheduled: list[tuple[int, int, str, DrawdownOutcome | Repayment | None]] = []
        self._number = 0
        self._told: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._lasted: deque[int] = deque(maxlen=_DONORS)
        self._columns: dict[str, Any] = {name: array(code) for name, code in _COLUMNS}
        self._values = [array("d") for _ in range(3 * _VALUES)]
        self._in_flight = self._answers = self._guessed = 0
        streams: list[Iterable[tuple[Moment, Any]]] = [*records.inputs(), records.decisions()]
        self._stream = merge(*streams, key=itemgetter(0))
        self._next = next(self._stream, None)

    @property
    def next_time(self) -> int | None:
        """The time (ms) of what comes next; None at the end."""
        return None if self._next is None else self._next[0][0]

    def advance(self, until: int) -> None:
        """Replay what is stamped before `until` (ms)."""
        while self._next is not None and self._next[0][0] < until:
            (at, *_), item = self._next
            self._catch_up(at)
            self._clock = max(self._clock, at)
            self._take(item)
            self._next = next(self._stream, None)

    def close(self) -> Outcome:
        """What it came to."""
        column = {name: np.array(values, dtype=np.int64) for name, values in self._columns.items() if name != "weight"}
        values = [np.array(each, dtype=np.float64) for each in self._values]
        before, after, most = (np.stack(values[n : n + _VALUES], axis=1) for n in range(0, 3 * _VALUES, _VALUES))
        samples = Samples(
            column["block"],
            column["chosen"],
            column["draft"],
            column["covered"].astype(np.bool_),
            np.array(self._columns["weight"], dtype=np.float64),
            before,
            after,
            most,
        )
        return Outcome(self._was.close(), self._drafted.close(), samples, self._in_flight, self._answers, self._guessed)

    def _take(self, item: Recorded | BorrowerEvent) -> None:
        match item:
            case Recorded():
                self._decided(item)
            case DrawdownRequest():
                self._request(item)
            case DrawdownOutcome():
                self._fold(item)
                if (request := self._asked.get(item.drawdown_id)) is not None:
                    told = self._told[item.funder_id, request.risk_grade]
                    told[0] += item.status == "disbursed"
                    told[1] += 1
            case Repayment():
                self._fold(item)
                self._repaid(item)
            case _:
                self._fold(item)
                self._handle(item, self._version)

    # As it was

    def _fold(self, event: BorrowerEvent) -> None:
        turn = Turn(event.customer_id, self._was.borrowers[event.customer_id], self._history.base)
        for _ in turn.handle(event, self._clock, [], quiet=True):
            raise AssertionError("a quiet turn reserves nothing")
        self._was.book.note(turn.operations)

    def _decided(self, made: Recorded) -> None:
        self._version = made.funder_states_version
        request = self._asked.get(made.drawdown_id)
        if request is None:
            return  # the record begins after it
        if made.attempt == 1 and made.drawdown_id not in self._sampled:
            self._sample(made, request)
        if made.funder_id is None:
            return
        due = made.at + self._history.waits(made.config_revision)
        borrower = self._was.borrowers[made.customer_id]
        borrower.ledger.append(
            LedgerEntry(
                made.drawdown_id, made.attempt, made.funder_id, made.at, due, request.amount, request.risk_grade
            )
        )
        borrower.seen[made.funder_id] = max(made.at, borrower.seen.get(made.funder_id, made.at))
        key = reservation_id(made.customer_id, made.drawdown_id, made.attempt)
        asked = Reserve(key, (), request.amount, made.at, shanghai_day(made.at), due)
        self._was.book.put(asked, made.funder_id)
        self._was.tally.route(made.funder_id, request.amount, made.attempt, made.relaxed)

    def _sample(self, made: Recorded, request: DrawdownRequest) -> None:
        """Ask the draft what it would have chosen here. A hold that it would hold too is looked at when it ends."""
        candidates: list[tuple[str, float]] = []
        if made.status != "rejected":
            policy = self._history.policy(made.funder_states_version)
            drawdown = _drawdown(request, made)
            ask = ask_of(made.customer_id, self._was.borrowers[made.customer_id], drawdown, made.at)
            candidates = _run(decide(policy, ask), partial(self._room, made)).candidates
        if made.status == "held" and not candidates:
            return
        self._sampled.add(made.drawdown_id)
        result = self._records.result(made.drawdown_id)
        if result is None:
            self._in_flight += 1
            return
        recorded = {each.funder_id: each.propensity for each in made.candidates}
        draft = dict(candidates)
        weight = 0.0
        if made.funder_id is not None and made.funder_id in draft:
            seed = self._history.same_seed(made.config_revision)
            weight = moved_weight(made.funder_id, recorded, draft, same_seed=seed)
        chosen = candidates[0][0] if candidates else None
        self._note(made, chosen, weight, chosen in recorded and recorded[chosen] > 0, request.amount, result)

    def _room(self, made: Recorded, asked: Reserve) -> Reserved:
        """Who has room: as recorded where the limits are the same, else by what the draft's own decisions left."""
        full = {each for each in made.full if self._history.same_limits(each, made.config_revision)}
        had = made.funder_id if self._history.same_limits(made.funder_id, made.config_revision) else None
        passed_over: list[tuple[str, Room]] = []
        for funder_id in asked.candidates:
            refusal = made.full[funder_id] if funder_id in full else None
            if refusal is None and funder_id != had:
                refusal = self._drafted.book.refusal(funder_id, asked)
            if refusal is None:
                return Reserved(funder_id, tuple(passed_over))
            passed_over.append((funder_id, refusal))
        return Reserved(None, tuple(passed_over))

    def _note(
        self, made: Recorded, draft: str | None, weight: float, covered: bool, amount: int, result: Result
    ) -> None:
        places = self._history.places
        block = int.from_bytes(blake2b(made.customer_id.encode(), digest_size=4).digest(), "big") % BLOCKS
        chosen = NOBODY if made.funder_id is None else places[made.funder_id]
        row = (block, chosen, NOBODY if draft is None else places[draft], covered, weight)
        for (name, _), value in zip(_COLUMNS, row, strict=True):
            self._columns[name].append(value)
        loan = float(result.amount > 0)
        fee = 0.0 if draft is None else amount * self._history.draft_fee_bp(draft, made.config_revision) / 10_000
        values = (loan, result.amount, result.fee_before, loan, result.amount, result.fee_after, 1.0, amount, fee)
        for column, number in zip(self._values, values, strict=True):
            column.append(number)

    # As the draft would have it

    def _request(self, event: DrawdownRequest) -> None:
        first = self._records.decision(event.drawdown_id, 1)
        if first is None or event.drawdown_id in self._asked:
            return  # refused, repeated, or not decided when the record ends
        self._asked[event.drawdown_id] = event
        self.requests += 1
        self._was.tally.requests += 1
        self._drafted.tally.requests += 1
        self._handle(event, first.funder_states_version)

    def _repaid(self, event: Repayment) -> None:
        """A loan is repaid as it was, whoever lent it."""
        if event.outstanding == 0:
            lent_at = [at for at, each in self._records.outcomes(event.drawdown_id) if each.status == "disbursed"]
            self._lasted.extend(self._clock - at for at in lent_at[:1])
        ledger = self._drafted.borrowers[event.customer_id].ledger
        lent = (entry for entry in ledger if entry.drawdown_id == event.drawdown_id and entry.status == "disbursed")
        entry = next(lent, None)
        if entry is not None:
            self._handle(msgspec.structs.replace(event, funder_id=entry.funder_id), self._version)

    def _handle(self, event: BorrowerEvent, version: int) -> None:
        turn = self._turn(event.customer_id, version)
        self._go(turn, turn.handle(event, self._clock, []), version)

    def _turn(self, customer_id: str, version: int) -> Turn:
        return Turn(customer_id, self._drafted.borrowers[customer_id], self._history.policy(version))

    def _go(self, turn: Turn, steps: Steps[Any], version: int) -> None:
        side = self._drafted

        def reserve(asked: Reserve) -> Reserved:
            side.book.note(turn.operations)
            turn.operations.clear()
            return side.book.reserve(asked)

        _run(steps, reserve)
        side.book.note(turn.operations)
        routed = [said for said in turn.decisions if said.status == "routed"]
        if routed:
            for said, entry in zip(routed, turn.borrower.ledger[-len(routed) :], strict=True):
                side.tally.route(entry.funder_id, entry.amount, entry.attempt, said.relaxed)
                self._answer(turn.customer_id, entry, version)
        if turn.decisions and (wake_at := turn.borrower.wake_at) is not None:
            self._schedule(wake_at, turn.customer_id, None)

    def _answer(self, customer_id: str, entry: LedgerEntry, version: int) -> None:
        """Have the funder answer: as recorded, not at all as recorded, or as likely as not."""
        outcomes = self._records.outcomes(entry.drawdown_id)
        told = [(at, outcome) for at, outcome in outcomes if outcome.funder_id == entry.funder_id]
        for at, outcome in told:
            answer = msgspec.structs.replace(outcome, attempt=entry.attempt)
            self._schedule(max(at, entry.decided_at + 1), customer_id, answer)
        waiting = not told and self._records.awaits(entry.drawdown_id, entry.funder_id)
        self._answers += not waiting
        if told or waiting:
            return
        self._guessed += 1
        digest = blake2b(f"{entry.drawdown_id}\0{entry.funder_id}".encode(), digest_size=16).digest()
        drawn, donor = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
        believed = self._history.pass_rate(entry.funder_id, entry.risk_grade, version)
        loans, answers = self._told[entry.funder_id, entry.risk_grade]
        passes = drawn / _WHOLE < (loans + _BELIEF * believed) / (answers + _BELIEF)
        request = self._asked[entry.drawdown_id]
        answer = DrawdownOutcome(
            event_id=f"what-if-{entry.attempt}",
            occurred_at=request.occurred_at,
            drawdown_id=entry.drawdown_id,
            customer_id=customer_id,
            funder_id=entry.funder_id,
            attempt=entry.attempt,
            status="disbursed" if passes else "declined",
            amount=entry.amount if passes else None,
        )
        answered = entry.decided_at + _ANSWER
        self._schedule(answered, customer_id, answer)
        if passes and self._lasted and not any(outcome.status == "disbursed" for _, outcome in outcomes):
            settlement = Repayment(
                event_id="what-if",
                occurred_at=request.occurred_at,
                drawdown_id=entry.drawdown_id,
                customer_id=customer_id,
                funder_id=entry.funder_id,
                kind="settled",
                principal=entry.amount,
                outstanding=0,
            )
            self._schedule(answered + self._lasted[donor % len(self._lasted)], customer_id, settlement)

    def _schedule(self, at: int, customer_id: str, answer: DrawdownOutcome | Repayment | None) -> None:
        self._number += 1
        heappush(self._scheduled, (at, self._number, customer_id, answer))

    def _catch_up(self, at: int) -> None:
        """Let happen what falls due before `at`: answers, and holds that end or are tried again."""
        while self._scheduled and self._scheduled[0][0] < at:
            due, _, customer_id, answer = heappop(self._scheduled)
            self._clock = max(self._clock, due)
            if answer is None:
                turn = self._turn(customer_id, self._version)
                self._go(turn, turn.wake(self._clock), self._version)
            elif isinstance(answer, Repayment):
                self._handle(answer, self._version)
            else:
                following = self._records.decision(answer.drawdown_id, answer.attempt + 1)
                self._handle(answer, self._version if following is None else following.funder_states_version)


def _run(steps: Steps[Any], answer: Any) -> Any:
    """Run steps to their end; what they return."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(answer(asked))
    except StopIteration as end:
        return end.value


def _drawdown(request: DrawdownRequest, made: Recorded) -> Drawdown:
    return Drawdown(
        drawdown_id=request.drawdown_id,
        fingerprint=b"",
        amount=request.amount,
        term_months=request.term_months,
        region=request.region,
        risk_grade=request.risk_grade,
        age=request.age,
        expires_at=0,
        exclude_funders=request.exclude_funders or [],
        trace=[],
        attempt=made.attempt,
    )
