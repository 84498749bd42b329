"""Invariant: what a borrower owes on a loan is the least that any repayment has told, in whatever order they come.

It frees the borrower's limit at that funder, and the book is told once per change. A repayment can come before the
outcome that makes the loan; it never makes one.
"""

from copy import deepcopy
from itertools import permutations
from typing import Any

import pytest

from rotation.clock import DAY
from rotation.events import DrawdownOutcome, Repayment
from rotation.reservations import Repay, Usage
from tests.rotation.world import ALWAYS_OPEN, CUSTOMER, NO_ROTATION, T0, World, grant, outcome, repayment, request

KEY = "cust-1/dd-1:1"
ENHANCED = {
    "enhanced": True,
    "balance": 100_000_000,
    "guaranteed": 10_000_000,
    "cap": 0.5,
    "as_of": "2026-11-01T00:00:00+08:00",
}
EDITS: dict[str, Any] = NO_ROTATION | ALWAYS_OPEN | {"attempts.max": 1, "funders.cf-north.guarantee": ENHANCED}


def borrowed(*statuses: str, amount: int = 600_000, edits: dict[str, Any] | None = None) -> World:
    """dd-1 is routed to cf-north, a guaranteed funder, and has these outcomes."""
    world = World(EDITS | (edits or {}))
    world.handle(grant("cf-north"))
    assert world.route(request("dd-1", amount=amount)).funder_id == "cf-north"
    for status in statuses:
        world.handle(outcome("dd-1", "cf-north", status, amount=amount))
    return world


def paid(outstanding: int, at: int = T0 + DAY, **changes: Any) -> Repayment:
    """Some principal of dd-1 is repaid, `outstanding` is left."""
    return repayment("dd-1", "cf-north", outstanding, at, **changes)


def test_a_repayment_frees_the_limit_and_the_guarantee_to_the_fen() -> None:
    """600,000 of 3,000,000 are owed, then 350,001; the day's quota stays used."""
    world = borrowed("disbursed")
    assert world.free_limit("cf-north", T0 + DAY) == 2_400_000
    heard = world.handle(paid(350_001))
    assert (heard.refusal, heard.operations) == (None, [Repay(KEY, "cf-north", 350_001)])
    assert world.free_limit("cf-north", T0 + DAY) == 2_649_999
    assert world.book.usage("20261101", T0 + DAY)["cf-north"] == Usage(600_000, 1, 350_001)


@pytest.mark.parametrize("order", list(permutations([400_000, 200_000, 0])), ids=str)
def test_repayments_in_any_order_end_alike(order: tuple[int, ...]) -> None:
    """The lowest that was told stands; one that tells more than that is late, and changes nothing."""
    world = borrowed("disbursed")
    for index, outstanding in enumerate(order):
        before = min((600_000, *order[:index]))
        heard = world.handle(paid(outstanding))
        assert heard.refusal is None
        assert heard.operations == ([Repay(KEY, "cf-north", outstanding)] if outstanding < before else [])
    assert world.free_limit("cf-north", T0 + DAY) == 3_000_000
    assert world.book.usage("20261101", T0 + DAY)["cf-north"].guaranteed == 0


def test_a_repeated_repayment_changes_nothing() -> None:
    """Not the record, not the book, and nobody's hold is looked at."""
    world = borrowed("disbursed")
    world.handle(paid(200_000))
    before = deepcopy(world.borrower())
    heard = world.handle(paid(200_000, T0 + 2 * DAY))
    assert (heard.refusal, heard.operations, heard.said, world.borrower()) == (None, [], [], before)


@pytest.mark.parametrize("order", list(permutations(["disbursed", "first", "second"])), ids=str)
def test_repayments_may_come_before_the_disbursement(order: tuple[str, ...]) -> None:
    """However the three arrive, the loan counts in full for the day and as repaid for limit and guarantee."""
    world = borrowed()
    events: dict[str, DrawdownOutcome | Repayment] = {
        "disbursed": outcome("dd-1", "cf-north", "disbursed", T0 + 1),
        "first": paid(500_000, T0 + 2),
        "second": paid(300_000, T0 + 3),
    }
    for name in order:
        assert world.handle(events[name], T0 + 4).refusal is None
    assert world.free_limit("cf-north", T0 + DAY) == 2_700_000
    assert world.book.usage("20261101", T0 + DAY)["cf-north"] == Usage(600_000, 1, 300_000)


def test_a_repayment_alone_makes_no_loan() -> None:
    """The reservation has ended and nobody said that money moved: nothing is owed, in the record or in the book."""
    world = borrowed()
    heard = world.handle(paid(100_000))
    assert (heard.refusal, heard.operations) == (None, [])
    assert world.free_limit("cf-north", T0 + DAY) == 3_000_000
    assert world.book.usage("20261101", T0 + DAY)["cf-north"] == Usage(0, 0, 0)


@pytest.mark.parametrize("status", ["declined", "cancelled", "timed_out", "failed"])
def test_a_repayment_of_what_is_no_loan_is_kept_for_the_case_that_it_becomes_one(status: str) -> None:
    """Nothing is owed; when the money turns out to have moved after all, the repayment counts."""
    world = borrowed(status)
    assert world.handle(paid(100_000)).operations == []
    assert world.free_limit("cf-north", T0 + DAY) == 3_000_000
    late = world.handle(outcome("dd-1", "cf-north", "disbursed", T0 + DAY))
    if late.refusal is None:
        assert late.operations[1:] == [Repay(KEY, "cf-north", 100_000)]
        assert world.free_limit("cf-north", T0 + DAY) == 2_900_000
    assert (late.refusal is None) is (status in ("timed_out", "failed"))


def test_nobody_owes_more_than_was_lent() -> None:
    """An outstanding above the loan, as overdue interest may make it, takes no more of the limit than the loan."""
    world = borrowed("disbursed")
    world.handle(paid(700_000))
    assert world.free_limit("cf-north", T0 + DAY) == 2_400_000
    assert world.book.usage("20261101", T0 + DAY)["cf-north"].guaranteed == 600_000


KINDS = ["instalment", "settled", "settled_early", "overdue", "written_off"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_tells_what_is_still_owed(kind: str) -> None:
    """`outstanding` counts, whatever the event is called."""
    world = borrowed("disbursed")
    world.handle(paid(250_000, kind=kind))
    assert world.free_limit("cf-north", T0 + DAY) == 2_750_000


UNKNOWN = [
    repayment("dd-1", "cf-west", 0, T0),
    repayment("dd-2", "cf-north", 0, T0),
    repayment("dd-1", "cf-north", 0, T0, customer_id="other"),
]


@pytest.mark.parametrize("event", UNKNOWN, ids=["funder", "drawdown", "borrower"])
def test_a_repayment_of_what_was_never_routed_there_is_refused(event: Repayment) -> None:
    """`unknown_drawdown`, and nothing changes."""
    world = borrowed("disbursed")
    before = deepcopy(world.borrower())
    heard = world.handle(event)
    assert heard.refusal is not None
    assert heard.refusal.reason == "unknown_drawdown"
    assert (heard.said, heard.operations, world.borrower(CUSTOMER)) == ([], [], before)


def test_each_loan_is_repaid_on_its_own() -> None:
    """Two loans at one funder: the repayment of one leaves the other owed."""
    world = borrowed("disbursed")
    world.route(request("dd-2", amount=1_000_000))
    world.handle(outcome("dd-2", "cf-north", "disbursed", amount=1_000_000))
    assert world.free_limit("cf-north", T0 + DAY) == 1_400_000
    world.handle(paid(0))
    assert world.free_limit("cf-north", T0 + DAY) == 2_000_000


def test_repaid_principal_makes_room_under_the_guarantee_again() -> None:
    """(guaranteed + G + amount) / (balance + G + amount) ≤ cap: 1,000,000 fit, then nothing, then what was repaid."""
    tight = ENHANCED | {"balance": 3_000_000, "guaranteed": 1_000_000}
    world = borrowed("disbursed", amount=1_000_000, edits={"funders.cf-north.guarantee": tight})
    full = world.route(request("dd-2", T0 + DAY, amount=50_000))
    assert full.excluded["cf-north"] == ["guarantee_ratio"]
    assert world.handle(paid(950_000)).decision.funder_id == "cf-north"
    assert world.route(request("dd-3", T0 + DAY, amount=50_000)).excluded["cf-north"] == ["guarantee_ratio"]
