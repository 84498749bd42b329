"""Views of a borrower's record that the rules ask for, and what may be forgotten of it."""

from collections.abc import Iterable, Iterator

from rotation.clock import DAY, shanghai_day, shanghai_minute
from rotation.reservations import Restore, reservation_id
from rotation.rules import Ask
from rotation.state import COUNTED, Borrower, Drawdown, Grant, LedgerEntry

#: A terminal drawdown is remembered this long, so that a repeated request gets its decision again (contract: 30).
REMEMBER_DRAWDOWN = 31 * DAY
#: A ledger entry that owes nothing is forgotten when it is older than this, unless it counts and is among the last
#: `KEEP_ENTRIES` that do, or its funder's last one: a cooldown may be ten years long.
FORGET_ENTRY = 400 * DAY
KEEP_ENTRIES = 64


def live_grants(borrower: Borrower, now: int) -> dict[str, Grant]:
    """Approved grants that expire after `now`, whatever their free limit."""
    return {
        funder_id: grant
        for funder_id, grant in borrower.grants.items()
        if grant.status == "approved" and grant.expires_at > now
    }


def ask_of(customer_id: str, borrower: Borrower, drawdown: Drawdown, now: int) -> Ask:
    """Gather what the rules look at for the drawdown's present attempt at `now`."""
    expire_reservations(borrower, now)
    owed: dict[str, int] = {}
    counted: list[LedgerEntry] = []
    tried: list[str] = []
    for entry in borrower.ledger:
        if entry.status in COUNTED:
            counted.append(entry)
            if outstanding := entry.outstanding:
                owed[entry.funder_id] = owed.get(entry.funder_id, 0) + outstanding
        if entry.drawdown_id == drawdown.drawdown_id:
            tried.append(entry.funder_id)
    return Ask(
        customer_id=customer_id,
        drawdown_id=drawdown.drawdown_id,
        attempt=drawdown.attempt,
        amount=drawdown.amount,
        term_months=drawdown.term_months,
        region=drawdown.region,
        risk_grade=drawdown.risk_grade,
        age=drawdown.age,
        now=now,
        minute=shanghai_minute(now),
        grants=live_grants(borrower, now),
        owed=owed,
        ledger=counted,
        seen=borrower.seen,
        tried=tried,
        excluded_by_request=drawdown.exclude_funders,
    )


def expire_reservations(borrower: Borrower, now: int) -> None:
    """Reservations due by `now` without an outcome are no loans any more; they stay as exposure."""
    for entry in borrower.ledger:
        if entry.status == "pending" and entry.due <= now:
            entry.status = "expired"


def entry_of(ledger: Iterable[LedgerEntry], drawdown_id: str, attempt: int) -> LedgerEntry | None:
    """The ledger entry of one attempt."""
    return next((e for e in ledger if e.drawdown_id == drawdown_id and e.attempt == attempt), None)


def restorations(customer_id: str, borrower: Borrower) -> Iterator[Restore]:
    """What a reservation book that lost its memory has to be told of this borrower."""
    for entry in borrower.ledger:
        if entry.status in ("pending", "disbursed"):
            yield Restore(
                id=reservation_id(customer_id, entry.drawdown_id, entry.attempt),
                funder_id=entry.funder_id,
                amount=entry.amount,
                decided_at=entry.decided_at,
                day=shanghai_day(entry.decided_at),
                due=entry.due if entry.status == "pending" else None,
                outstanding=entry.outstanding,
            )


def forget(borrower: Borrower, now: int) -> None:
    """Drop what nothing can ask for again: the record stays small however long a borrower stays."""
    old = [
        drawdown_id
        for drawdown_id, drawdown in borrower.drawdowns.items()
        if drawdown.decided_at + REMEMBER_DRAWDOWN < now and not _goes_on(borrower, drawdown, now)
    ]
    for drawdown_id in old:
        del borrower.drawdowns[drawdown_id]
    if len(borrower.ledger) > KEEP_ENTRIES:
        counted = [entry for entry in borrower.ledger if entry.status in COUNTED]
        last = {entry.funder_id: entry for entry in counted}
        asked_for = {id(entry) for entry in (*counted[-KEEP_ENTRIES:], *last.values())}
        borrower.ledger = [
            entry
            for entry in borrower.ledger
            if entry.outstanding or entry.decided_at + FORGET_ENTRY > now or id(entry) in asked_for
        ]


def _goes_on(borrower: Borrower, drawdown: Drawdown, now: int) -> bool:
    """Whether another decision may be called for: it is held, or its funder may yet say no before it expires."""
    if drawdown.status != "routed":
        return drawdown.status == "held"
    entry = entry_of(borrower.ledger, drawdown.drawdown_id, drawdown.attempt)
    return drawdown.expires_at > now and entry is not None and entry.status in ("pending", "expired")
