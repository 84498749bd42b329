"""One partition's traffic, replayed twice in one pass: as it was, and as the draft would have had it.

The draft decides every recorded request, on ledgers that its own decisions made, and funders answer it
(`whatif.answers`). That makes its counts; `whatif.as_it_was` makes those recorded, and the samples of the estimates.
"""

from collections.abc import Iterable
from heapq import heappop, heappush, merge
from operator import itemgetter
from typing import Any

import msgspec

from rotation.decide import Steps, run_to_end
from rotation.events import BorrowerEvent, DrawdownOutcome, DrawdownRequest, Repayment
from rotation.ledger import expire_reservations
from rotation.reservations import Reserve, Reserved
from rotation.rules import RESERVATION_CODES
from rotation.turn import Turn
from whatif.answers import Answer, Answers
from whatif.as_it_was import AsItWas, Candidates
from whatif.book import LaneBook
from whatif.decision import Recorded
from whatif.estimate import Samples
from whatif.history import History
from whatif.recorded import Moment, Records
from whatif.side import Side
from whatif.tally import Tally


class Outcome(msgspec.Struct):
    """What one partition, or several, came to. `guessed` of the draft's `answers` were drawn by pass rate; `older`
    drawdowns that events tell of were decided before the record began."""

    before: Tally
    after: Tally
    samples: Samples
    in_flight: int
    answers: int
    guessed: int
    older: int


class Lane:
    """One partition on its way; `requests` of it are done."""

    def __init__(self, records: Records, history: History) -> None:
        self._records = records
        self._history = history
        self._drafted = Side(LaneBook(history.base.limits))
        self.book = self._drafted.book
        self._was = AsItWas(records, history, self.book.refusal)
        self._answers = Answers(records, history)
        self.requests = 0
        self._clock = 0
        self._version = -1
        self._asked: dict[str, DrawdownRequest] = {}
        self._early: set[str] = set()
        self._customers: dict[str, None] = {}
        self._alike: dict[str, Candidates] = {}
        self._scheduled: list[tuple[int, int, str, Answer | None]] = []
        self._number = 0
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
        answers = self._answers
        return Outcome(
            before=self._was.close(self._history.since, self._customers),
            after=self._drafted.close(self._history.since, self._customers),
            samples=self._was.samples(),
            in_flight=self._was.in_flight,
            answers=answers.given,
            guessed=answers.guessed,
            older=len(self._was.older),
        )

    def _take(self, item: Recorded | BorrowerEvent) -> None:
        match item:
            case Recorded():
                self._decided(item)
            case DrawdownRequest():
                self._request(item)
            case DrawdownOutcome():
                self._was.fold(item, self._clock)
                if (request := self._asked.get(item.drawdown_id)) is not None:
                    self._answers.learn(item, request.risk_grade)
            case Repayment():
                self._was.fold(item, self._clock)
                self._repaid(item)
            case _:
                self._was.fold(item, self._clock)
                self._handle(item, self._version)

    def _decided(self, made: Recorded) -> None:
        self._version = made.funder_states_version
        request = self._asked.get(made.drawdown_id)
        if request is not None:  # else the record begins after it
            alike = self._alike.pop(made.drawdown_id, None)
            self._was.decided(made, request, alike, counts=made.drawdown_id not in self._early)

    def _request(self, event: DrawdownRequest) -> None:
        first = self._records.decision(event.drawdown_id, 1)
        if first is None or event.drawdown_id in self._asked:
            return  # refused, repeated, or not decided when the record ends
        self._asked[event.drawdown_id] = event
        self.requests += 1
        if self._clock < self._history.since:
            self._early.add(event.drawdown_id)
        else:
            self._was.tally.requests += 1
            self._drafted.tally.requests += 1
            self._customers[event.customer_id] = None
        alike = self._stands_alike(event.customer_id)
        turn = self._handle(event, first.funder_states_version)
        for drawdown, status, verdict in turn.verdicts:
            # Where both replays stand alike and nobody lacked room, the draft is not asked twice.
            passed_over = any(code in verdict.dropped for code in RESERVATION_CODES)
            if alike and drawdown.drawdown_id == event.drawdown_id and status == "routed" and not passed_over:
                self._alike[event.drawdown_id] = verdict.candidates

    def _stands_alike(self, customer_id: str) -> bool:
        """Whether the borrower stands as recorded in all that a decision looks at."""
        was, drafted = self._was.borrowers[customer_id], self._drafted.borrowers[customer_id]
        expire_reservations(was, self._clock)
        expire_reservations(drafted, self._clock)
        return was.ledger == drafted.ledger and was.grants == drafted.grants and was.seen == drafted.seen

    def _repaid(self, event: Repayment) -> None:
        """A loan is repaid as it was, whoever lent it."""
        if event.outstanding == 0:
            self._answers.learn_settlement(event.drawdown_id, self._clock)
        ledger = self._drafted.borrowers[event.customer_id].ledger
        lent = (entry for entry in ledger if entry.drawdown_id == event.drawdown_id and entry.status == "disbursed")
        entry = next(lent, None)
        if entry is not None:
            self._handle(msgspec.structs.replace(event, funder_id=entry.funder_id), self._version)

    def _handle(self, event: BorrowerEvent, version: int) -> Turn:
        turn = self._turn(event.customer_id, version)
        self._go(turn, turn.handle(event, self._clock, []), version)
        return turn

    def _turn(self, customer_id: str, version: int) -> Turn:
        return Turn(customer_id, self._drafted.borrowers[customer_id], self._history.policy(version), silent=True)

    def _go(self, turn: Turn, steps: Steps[Any], version: int) -> None:
        def reserve(asked: Reserve) -> Reserved:
            self.book.note(turn.take_operations())
            return self.book.reserve(asked)

        run_to_end(steps, reserve)
        self.book.note(turn.take_operations())
        routed = [verdict for _, status, verdict in turn.verdicts if status == "routed"]
        if routed:
            for verdict, entry in zip(routed, turn.borrower.ledger[-len(routed) :], strict=True):
                counts = entry.drawdown_id not in self._early
                if counts:
                    self._drafted.tally.route(entry.funder_id, entry.amount, entry.attempt, verdict.relaxed)
                request = self._asked[entry.drawdown_id]
                for at, answer in self._answers.of(request, entry, version, counts=counts):
                    self._schedule(at, turn.customer_id, answer)
        if turn.verdicts and (wake_at := turn.borrower.wake_at) is not None:
            self._schedule(wake_at, turn.customer_id, None)

    def _schedule(self, at: int, customer_id: str, answer: Answer | None) -> None:
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
