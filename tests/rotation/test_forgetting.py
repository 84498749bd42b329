"""What a long ledger forgets: only what no rule, outcome or repayment can ask for any more."""

from rotation.clock import DAY
from rotation.ledger import forget
from rotation.state import Borrower, LedgerEntry, LoanStatus

YEAR = 365 * DAY
NOW = 20 * YEAR


def entry(number: int, funder_id: str, age: int, status: LoanStatus = "cancelled") -> LedgerEntry:
    """An entry of so long ago (ms)."""
    return LedgerEntry(f"dd-{number}", 1, funder_id, NOW - age, NOW - age, 100_000, "A", status)


def remembered(*ledger: LedgerEntry) -> list[str]:
    """The drawdowns of the entries that are left of a ledger."""
    borrower = Borrower(ledger=list(ledger))
    forget(borrower, NOW)
    return [each.drawdown_id for each in borrower.ledger]


def test_a_thousand_drawdowns_are_remembered_however_old() -> None:
    """As many as the longest `max_share` looks back over, while entries that it does not count go."""
    old = [entry(n, "bank-east", 3 * YEAR, "declined" if n % 3 == 0 else "cancelled") for n in range(1600)]

    assert remembered(*old[:1000]) == [each.drawdown_id for each in old[:1000]]
    assert remembered(*old) == [each.drawdown_id for each in old if each.status == "cancelled"][-1000:]


def test_a_funder_s_last_drawdown_is_remembered() -> None:
    """A cooldown may be ten years long, and a thousand drawdowns went elsewhere since."""
    first = [entry(n, "cf-west", 9 * YEAR) for n in range(3)]
    since = [entry(n, "bank-east", 2 * YEAR) for n in range(3, 1003)]

    assert remembered(*first, *since) == ["dd-2", *(each.drawdown_id for each in since)]


def test_what_may_still_change_is_remembered() -> None:
    """A loan that is owed, and whatever is young enough for a late outcome, among entries that no rule counts."""
    loan, late = entry(1, "cf-west", 3 * YEAR, "disbursed"), entry(3, "cf-west", YEAR, "expired")
    older = entry(2, "cf-west", 2 * YEAR, "expired")
    since = [entry(n, "bank-east", YEAR) for n in range(4, 1004)]

    assert remembered(loan, older, late, *since) == ["dd-1", "dd-3", *(each.drawdown_id for each in since)]
