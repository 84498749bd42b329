"""What events tell of a borrower: grants, answers and repayments, folded into the borrower's record."""

import msgspec

from rotation.clock import shanghai_day
from rotation.events import CreditGrant, DrawdownOutcome, Repayment, millis
from rotation.ledger import entry_of, expire_reservations
from rotation.outputs import EarlySettlement, FunderEvent, FunderOutcome
from rotation.reservations import Commit, Operation, Release, Repay, reservation_id
from rotation.returns import served_elsewhere
from rotation.state import Borrower, Grant

#: Outcomes that a later `disbursed` corrects: the platform gave up, but the money moved.
_GAVE_UP = frozenset({"timed_out", "failed"})
#: When something happens to a borrower: stream time (ms), and the event's place among others that are read with it.
Moment = tuple[int, int]


class Refusal(msgspec.Struct, frozen=True):
    """The event cannot be used, given what is known of the borrower. `reason` as in the contract, section 5."""

    reason: str
    detail: str


class Folding:
    """One borrower's record at work. It is changed in place.

    What has to be done elsewhere is gathered: `timed` operations for the reservation book, each with its moment, and
    `for_funders` for funders' agents. `moment` is when it happens what happens.
    """

    def __init__(self, customer_id: str, borrower: Borrower) -> None:
        self.customer_id = customer_id
        self.borrower = borrower
        self.moment: Moment = (0, 0)
        self.timed: list[tuple[Moment, Operation]] = []
        self.for_funders: list[FunderEvent] = []

    def take_operations(self) -> list[Operation]:
        """The operations gathered since the last call."""
        taken = [operation for _, operation in self.timed]
        self.timed = []
        return taken

    def fold(self, event: CreditGrant | DrawdownOutcome | Repayment, now: int) -> Refusal | bool:
        """Whether the event told anything new at stream time `now`, or why it cannot be used."""
        match event:
            case CreditGrant():
                return self._grant(event)
            case DrawdownOutcome():
                return self._outcome(event, now)
            case Repayment():
                return self._repayment(event, now)

    def _grant(self, event: CreditGrant) -> bool:
        occurred_at = millis(event.occurred_at)
        known = self.borrower.grants.get(event.funder_id)
        event_ids = [event.event_id]
        if known is not None:
            if occurred_at < known.occurred_at or event.event_id in known.event_ids:
                return False
            event_ids = [*known.event_ids[-15:], event.event_id]
        self.borrower.grants[event.funder_id] = Grant(
            status=event.status,
            credit_limit=event.credit_limit or 0,
            apr_bp=event.apr_bp or 0,
            expires_at=0 if event.expires_at is None else millis(event.expires_at),
            occurred_at=occurred_at,
            event_ids=event_ids,
        )
        self.saw(event.funder_id, occurred_at)
        self.borrower.advised.pop(event.funder_id, None)
        self.borrower.region = event.region or self.borrower.region
        self.borrower.risk_grade = event.risk_grade or self.borrower.risk_grade
        return True

    def _outcome(self, event: DrawdownOutcome, now: int) -> Refusal | bool:
        expire_reservations(self.borrower, now)
        entry = entry_of(self.borrower.ledger, event.drawdown_id, event.attempt)
        if entry is None or entry.funder_id != event.funder_id:
            return Refusal("unknown_drawdown", "drawdown_id, attempt: never routed to this funder")
        if event.status in (entry.status, entry.corrected):
            return False
        answered = entry.status not in ("pending", "expired")
        if answered and not (event.status == "disbursed" and entry.status in _GAVE_UP):
            return Refusal("conflicting_duplicate", f"status: the attempt's outcome is already {entry.status}")
        late = event.status == "disbursed" and entry.status != "pending"
        if answered:
            entry.corrected = entry.status
        entry.status = event.status
        drawdown = self.borrower.drawdowns.get(event.drawdown_id)
        canary = self.customer_id if drawdown is not None and drawdown.canary else None
        self.for_funders.append(
            FunderOutcome(
                funder_id=entry.funder_id,
                risk_grade=entry.risk_grade,
                status=event.status,
                occurred_at=now,
                late=late,
                canary=canary,
                attempt=entry.attempt,
                decided_at=entry.decided_at,
                amount=(event.amount or entry.amount) if event.status == "disbursed" else 0,
            )
        )
        if event.status == "disbursed":
            self.for_funders += served_elsewhere(self.borrower, entry.drawdown_id, now)
        key = reservation_id(self.customer_id, entry.drawdown_id, entry.attempt)
        if event.status != "disbursed":
            self._tell_book(Release(key, entry.funder_id))
            return True
        entry.amount = event.amount or entry.amount
        self._tell_book(Commit(key, entry.funder_id, entry.amount, entry.decided_at, shanghai_day(entry.decided_at)))
        if entry.owed_at_most is not None:
            self._tell_book(Repay(key, entry.funder_id, entry.outstanding))
        return True

    def _repayment(self, event: Repayment, now: int) -> Refusal | bool:
        entry = next(
            (e for e in self.borrower.ledger if e.drawdown_id == event.drawdown_id and e.funder_id == event.funder_id),
            None,
        )
        if entry is None:
            return Refusal("unknown_drawdown", "drawdown_id: never routed to this funder")
        # Outstanding principal only falls, so the lowest told is the latest, in whatever order events arrive.
        if entry.owed_at_most is not None and event.outstanding >= entry.owed_at_most:
            return False
        entry.owed_at_most = event.outstanding
        if event.kind == "settled_early":
            entry.settled_early_at = now
            self.for_funders.append(EarlySettlement(entry.funder_id, entry.risk_grade, entry.decided_at, now))
        if entry.status == "disbursed":
            key = reservation_id(self.customer_id, entry.drawdown_id, entry.attempt)
            self._tell_book(Repay(key, entry.funder_id, entry.outstanding))
        return True

    def _tell_book(self, operation: Operation) -> None:
        self.timed.append((self.moment, operation))

    def saw(self, funder_id: str, at: int) -> None:
        """The funder saw the borrower at `at` (ms)."""
        self.borrower.seen[funder_id] = max(at, self.borrower.seen.get(funder_id, at))
