"""Borrowers who have borrowed often, as the table of borrowers keeps them: made by the core itself."""

from collections.abc import Iterator
from itertools import count

import msgspec

from bench.borrowers import Borrower as Person
from bench.ground import Record
from bench.job import START
from market.publication import moment
from rotation.book import MemoryBook
from rotation.clock import DAY, MINUTE
from rotation.decide import run_to_end
from rotation.events import BorrowerEvent, CaptureSignal, DrawdownOutcome, DrawdownRequest, Repayment
from rotation.outputs import Decision
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved
from rotation.state import Borrower, encode_borrower
from rotation.turn import Turn
from streams.codec import BadInput, decode

LOANS = 20
_EVERY = 14 * DAY  # a drawdown each two weeks, so that the grants live to the end

_decision = msgspec.json.Decoder(Decision)


def stored_borrowers(policy: Policy) -> Iterator[bytes]:
    """Stored forms of different borrowers with `LOANS` ledger entries, all of them repaid but the last; without end."""
    for number in count():
        borrower = _borrower(Person(number, START), policy)
        if len(borrower.ledger) == LOANS:
            yield encode_borrower(borrower)


def _borrower(person: Person, policy: Policy) -> Borrower:
    """What is known of a person who asked until `LOANS` drawdowns were routed, or many more times in vain."""
    history = _History(policy)
    for grant in person.grants():
        history.take(_event(grant, policy), grant.timestamp)
    for asked in range(LOANS + LOANS // 2):
        request = person.request(asked, START + asked * _EVERY)
        event = _event(request, policy)
        assert isinstance(event, DrawdownRequest)
        history.borrow(event, request.timestamp)
        if len(history.borrower.ledger) == LOANS:
            break
    return history.borrower


def _event(record: Record, policy: Policy) -> BorrowerEvent:
    funders = policy.limits
    event = decode(record.topic, record.key, record.value, record.timestamp, known_funders=funders, latest=None)
    assert not isinstance(event, BadInput | CaptureSignal)
    return event


class _History:
    """One borrower's past, made event by event."""

    def __init__(self, policy: Policy) -> None:
        self.borrower = Borrower()
        self._policy = policy
        self._book = MemoryBook(policy.limits)

    def take(self, event: BorrowerEvent, at: int) -> list[Decision]:
        """Fold an event in; the decisions that it causes."""
        turn = Turn(event.customer_id, self.borrower, self._policy)
        run_to_end(turn.handle(event, at, []), self._reserve)
        self._book.apply(turn.take_operations())
        return [_decision.decode(said.value) for said in turn.decisions]

    def _reserve(self, asked: Reserve) -> Reserved:
        (answer,) = self._book.apply([asked])
        assert answer is not None
        return answer

    def borrow(self, request: DrawdownRequest, at: int) -> None:
        """Ask at `at` (ms); what is routed is disbursed, and repaid before the next time unless it is the last."""
        for decision in self.take(request, at):
            if decision.funder_id is None or decision.drawdown_id != request.drawdown_id:
                continue
            paid = DrawdownOutcome(
                event_id=f"{request.drawdown_id}-paid",
                occurred_at=moment(at + MINUTE),
                drawdown_id=request.drawdown_id,
                customer_id=request.customer_id,
                funder_id=decision.funder_id,
                attempt=decision.attempt,
                status="disbursed",
                amount=request.amount,
            )
            self.take(paid, at + MINUTE)
            if len(self.borrower.ledger) < LOANS:
                settled = Repayment(
                    event_id=f"{request.drawdown_id}-settled",
                    occurred_at=moment(at + _EVERY // 2),
                    drawdown_id=request.drawdown_id,
                    customer_id=request.customer_id,
                    funder_id=decision.funder_id,
                    kind="settled",
                    principal=request.amount,
                    outstanding=0,
                )
                self.take(settled, at + _EVERY // 2)
