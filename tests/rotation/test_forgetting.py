"""Invariant: a borrower's record stays small however long they stay, and never loses what still matters.

Kept is what is held, what was decided in the last 30 days, what is owed or may yet be told of, and enough of the
ledger for the rotation rules.
"""

import pytest

from rotation.clock import DAY
from rotation.ledger import forget
from rotation.reservations import Commit
from rotation.state import Borrower, LedgerEntry, LoanStatus, encode_borrower
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, T0, World, grant, outcome, repayment, request

OPEN = NO_ROTATION | ALWAYS_OPEN | {"attempts.max": 1}
YEARS = 400 * DAY
LATER = T0 + 20 * YEARS


def lend(world: World, drawdown_id: str, at: int, funder_id: str = "cf-west", *, repaid: bool = True) -> None:
    """A loan, repaid on the next day unless it is to be owed."""
    others = [other for other in world.policy.funder_ids if other != funder_id]
    assert world.route(request(drawdown_id, at, exclude_funders=others)).funder_id == funder_id
    world.handle(outcome(drawdown_id, funder_id, "disbursed", at))
    if repaid:
        world.handle(repayment(drawdown_id, funder_id, 0, at + DAY))


def test_a_record_stops_growing() -> None:
    """A drawdown every three days: after two years the record is as large as after four."""
    world = World(OPEN)
    world.handle(grant("cf-west"))
    sizes = []
    for number in range(480):
        lend(world, f"dd-{number}", T0 + number * 3 * DAY)
        sizes.append(len(encode_borrower(world.borrower())))
    assert max(sizes[360:]) <= max(sizes[200:300]) * 1.02
    assert max(sizes) < 20_000


def test_a_drawdown_that_is_held_is_never_forgotten() -> None:
    """It has an expiry of its own choice: after a year it still is routed when a grant comes."""
    world = World(OPEN)
    world.route(request("dd-1", expires=T0 + YEARS))
    for day in range(1, 390, 10):
        world.handle(grant("cf-north", T0 + day * DAY, status="declined"))
    assert world.handle(grant("cf-west", T0 + 395 * DAY)).decision.decision_id == "dd-1:1"


@pytest.mark.parametrize("status", ["declined", "timed_out", "failed"])
def test_a_drawdown_that_may_yet_be_tried_again_is_not_forgotten(status: str) -> None:
    """Its funder answers after 40 days, and its own expiry is later still: the next attempt is made."""
    world = World(OPEN | {"attempts.max": 2})
    world.handle(grant("cf-west"))
    world.route(request("dd-1", expires=T0 + 60 * DAY))
    for day in range(1, 40):
        world.handle(grant("cf-north", T0 + day * DAY))
    assert world.handle(outcome("dd-1", "cf-west", status, T0 + 40 * DAY)).decision.decision_id == "dd-1:2"


def test_what_is_owed_is_never_forgotten() -> None:
    """Two old loans, one repaid in part, then a hundred others over years: still owed, and repaid in the end."""
    world = World(OPEN)
    world.handle(grant("cf-west"))
    lend(world, "old", T0, repaid=False)
    lend(world, "part", T0, repaid=False)
    world.handle(repayment("part", "cf-west", 100_000, T0 + DAY))
    for number in range(100):
        lend(world, f"dd-{number}", T0 + (2 + number * 8) * DAY)
    now = T0 + 2 * YEARS + 3 * DAY
    assert world.free_limit("cf-west", now) == 3_000_000 - 700_000
    assert world.handle(repayment("old", "cf-west", 0, now)).operations != []
    assert world.handle(repayment("part", "cf-west", 0, now)).operations != []
    assert world.free_limit("cf-west", now) == 3_000_000


def test_a_reservation_without_outcome_can_still_become_a_loan_after_a_year() -> None:
    """Its entry is exposure only, but the funder may tell of it late."""
    world = World(OPEN)
    world.handle(grant("cf-west"))
    world.route(request("late", T0))
    for number in range(100):
        lend(world, f"dd-{number}", T0 + (2 + number * 3) * DAY)
    now = T0 + 390 * DAY
    assert world.handle(outcome("late", "cf-west", "disbursed", now)).refusal is None
    assert world.free_limit("cf-west", now) == 2_400_000


def test_the_last_entries_are_kept_however_old_they_are() -> None:
    """A borrower who comes back after ten years: the funder of the last drawdown is still the last one."""
    world = World(OPEN)
    world.handle(grant("cf-north"))
    world.handle(grant("cf-west", expires=T0 + 9000 * DAY))
    for number in range(70):
        lend(world, f"dd-{number}", T0 + number * DAY, "cf-north" if number < 20 else "cf-west")
    lend(world, "last", T0 + 70 * DAY)
    back = T0 + 3600 * DAY
    world.handle(grant("cf-north", back))
    world.configure(OPEN | {"rotation.never_last": {"n": 1}}, back)
    decision = world.route(request("dd-now", back))
    assert (decision.funder_id, decision.excluded["cf-west"]) == ("cf-north", ["never_last"])


def test_who_has_seen_a_borrower_is_never_forgotten() -> None:
    """The exposure budget may look back ten years."""
    world = World(OPEN)
    world.handle(grant("cf-west"))
    world.handle(grant("cf-north", status="declined"))
    for number in range(100):
        lend(world, f"dd-{number}", T0 + number * 8 * DAY)
    rule = {"rotation.exposure_budget": {"funders": 2, "within_days": 3650}}
    now = T0 + 3600 * DAY
    world.configure(OPEN | rule, now)
    assert set(world.route(request("dd-now", now)).excluded["bank-east"]) == {"no_live_grant", "exposure_budget"}


@pytest.mark.parametrize("status", ["declined", "disbursed", None])
def test_an_id_that_was_forgotten_is_a_new_drawdown_that_goes_on_counting(status: str | None) -> None:
    """What came of the first stays as it is: the new one is another attempt, with its own outcome."""
    world = World(OPEN)
    world.handle(grant("cf-west"))
    world.route(request("dd-1"))
    if status is not None:
        world.handle(outcome("dd-1", "cf-west", status))
    now = T0 + 40 * DAY
    world.handle(grant("cf-north", now))
    again = world.route(request("dd-1", now))
    assert (again.decision_id, again.funder_id) == ("dd-1:2", "cf-north")
    assert again.excluded["cf-west"] == ["already_tried"]
    loan = world.handle(outcome("dd-1", "cf-north", "disbursed", now, attempt=2))
    assert loan.operations == [Commit("cust-1/dd-1:2", "cf-north", 600_000, now, "20261211")]
    assert world.free_limit("cf-west", now) == (2_400_000 if status == "disbursed" else 3_000_000)


def entry(number: int, funder_id: str, years: int, status: LoanStatus = "cancelled") -> LedgerEntry:
    """An entry of so many years ago, at `LATER`."""
    at = LATER - years * 365 * DAY
    return LedgerEntry(f"dd-{number}", 1, funder_id, at, at, 100_000, "A", status)


def remembered(*ledger: LedgerEntry) -> list[str]:
    """The drawdowns of the entries that are left of a ledger at `LATER`."""
    borrower = Borrower(ledger=list(ledger))
    forget(borrower, LATER)
    return [each.drawdown_id for each in borrower.ledger]


def test_the_last_entries_that_count_are_kept_among_others() -> None:
    """Old ones that were declined go, and do not take the place of those that the rules count."""
    old = [entry(n, "bank-east", 3, "declined" if n % 3 == 0 else "cancelled") for n in range(160)]
    assert remembered(*old[:64]) == [each.drawdown_id for each in old[:64]]
    assert remembered(*old) == [each.drawdown_id for each in old if each.status == "cancelled"][-64:]


def test_a_funder_s_last_drawdown_is_kept_for_its_cooldown() -> None:
    """However many went elsewhere since."""
    first = [entry(n, "cf-west", 9) for n in range(3)]
    since = [entry(n, "bank-east", 2) for n in range(3, 67)]
    assert remembered(*first, *since) == ["dd-2", *(each.drawdown_id for each in since)]


def test_what_may_still_change_is_kept_among_others() -> None:
    """A loan that is owed, and whatever is young enough for a late outcome, beside entries that no rule counts."""
    loan, late = entry(1, "cf-west", 3, "disbursed"), entry(3, "cf-west", 1, "expired")
    older = entry(2, "cf-west", 2, "expired")
    since = [entry(n, "bank-east", 1) for n in range(4, 68)]
    assert remembered(loan, older, late, *since) == ["dd-1", "dd-3", *(each.drawdown_id for each in since)]
