"""Invariant: each rotation rule drops exactly the funders that the borrower's ledger and exposure call for.

The ledger holds pending, disbursed and cancelled drawdowns, in order; declined, timed-out, failed and expired ones
are exposure only. A rule that may not be given up shows itself: the drawdown stays held under its name.
"""

from typing import Any

import pytest

from rotation.clock import DAY, MINUTE
from tests.rotation.world import FUNDERS, NO_ROTATION, T0, World, grant, outcome, request

EVERYWHERE = {
    "funders.*.regions": "all",
    "funders.*.amount": [1, 90_000_000],
    "funders.*.open": "00:00-24:00",
    "attempts.max": 1,
    "funders.cf-north.guarantee": None,
}


class Ledger:
    """A borrower whose drawdowns go where the test wants: each request excludes all other funders."""

    def __init__(self, rules: dict[str, Any]) -> None:
        self.rules = NO_ROTATION | EVERYWHERE | rules
        self.world = World(NO_ROTATION | EVERYWHERE)
        self._count = 0

    def seen(self, *funder_ids: str, at: int = T0, **changes: Any) -> None:
        """Grants that live long."""
        for funder_id in funder_ids:
            self.world.handle(grant(funder_id, at, limit=90_000_000_000, **changes))

    def add(self, funder_id: str, at: int = T0, status: str | None = "disbursed") -> None:
        """One drawdown at this funder that ends in `status`; None leaves it pending."""
        self._count += 1
        name = f"past-{self._count}"
        others = [other for other in FUNDERS if other != funder_id]
        assert self.world.route(request(name, at, exclude_funders=others)).funder_id == funder_id
        if status is not None:
            self.world.handle(outcome(name, funder_id, status, at))

    def dropped(self, at: int) -> dict[str, list[str]]:
        """Who is dropped from the next drawdown by the rules under test, and in which codes."""
        self.world.configure(self.rules, at)
        return self.world.route(request("dd-now", at)).excluded


def only(rule: str, *funder_ids: str) -> dict[str, list[str]]:
    """What `excluded` looks like when just these funders are dropped by one rule."""
    return {funder_id: [rule] for funder_id in funder_ids}


@pytest.mark.parametrize(("n", "dropped"), [(1, {"cf-west"}), (2, {"cf-west", "cf-north"}), (9, set(FUNDERS[:3]))])
def test_never_last_drops_the_funders_of_the_last_n(n: int, dropped: set[str]) -> None:
    """Among the last n of the ledger means n entries, not n funders; a short ledger is taken whole."""
    ledger = Ledger({"rotation.never_last": {"n": n}})
    ledger.seen(*FUNDERS)
    for funder_id in ("bank-east", "cf-north", "cf-west"):
        ledger.add(funder_id)
    assert ledger.dropped(T0 + DAY) == only("never_last", *sorted(dropped))


COUNTED = [(None, True), ("disbursed", True), ("cancelled", True), ("declined", False), ("timed_out", False)]


@pytest.mark.parametrize(("status", "counted"), [*COUNTED, ("failed", False)])
@pytest.mark.parametrize(
    "rule",
    [
        {"rotation.never_last": {"n": 1}},
        {"rotation.max_share": {"of_last": 2, "at_most": 0.5}},
        {"rotation.cooldown": {"days": 1}},
    ],
    ids=["never_last", "max_share", "cooldown"],
)
def test_only_pending_disbursed_and_cancelled_drawdowns_are_in_the_ledger(
    rule: dict[str, Any], status: str | None, counted: bool
) -> None:
    """What was declined, timed out or failed is no loan: no ledger rule looks at it."""
    ledger = Ledger(rule)
    ledger.seen(*FUNDERS)
    ledger.add("cf-west", status=status)
    assert ("cf-west" in ledger.dropped(T0 + MINUTE)) is counted


def test_a_reservation_that_ended_leaves_the_ledger_and_a_late_loan_puts_it_back() -> None:
    """Expired without outcome: exposure only. `disbursed` after that counts again, in its old place."""
    for late in (False, True):
        ledger = Ledger({"rotation.never_last": {"n": 1}})
        ledger.seen(*FUNDERS)
        ledger.add("cf-west", T0, status=None)
        ended = T0 + 30 * MINUTE
        if late:
            ledger.world.handle(outcome("past-1", "cf-west", "disbursed", ended))
        assert ledger.dropped(ended) == (only("never_last", "cf-west") if late else {})


def test_a_reservation_counts_until_the_moment_that_it_ends() -> None:
    """One ms before its time a pending drawdown is still in the ledger."""
    ledger = Ledger({"rotation.never_last": {"n": 1}})
    ledger.seen(*FUNDERS)
    ledger.add("cf-west", T0, status=None)
    assert ledger.dropped(T0 + 30 * MINUTE - 1) == only("never_last", "cf-west")


SHARES = [
    # of_last, at_most, entries of cf-west among those before, other entries before them, dropped
    (5, 0.4, 1, 3, False),
    (5, 0.4, 2, 2, True),
    (5, 0.4, 3, 0, False),  # the ledger is shorter than of_last − 1
    (5, 0.4, 4, 0, True),
    (5, 0.39, 1, 3, True),
    (3, 0.6666, 1, 1, True),
    (3, 0.6667, 1, 1, False),
    (10, 0.7, 6, 3, False),
    (10, 0.7, 7, 2, True),
    (100, 0.29, 28, 71, False),
    (100, 0.29, 29, 70, True),
    (100, 0.57, 56, 43, False),
    (100, 0.57, 57, 42, True),
    (2, 1.0, 1, 0, False),
]


@pytest.mark.parametrize(("of_last", "at_most", "own", "others", "dropped"), SHARES)
def test_max_share_counts_this_drawdown_among_the_last(
    of_last: int, at_most: float, own: int, others: int, dropped: bool
) -> None:
    """At most the share of the last `of_last`, this one included, exact where the share is a whole count."""
    ledger = Ledger({"rotation.max_share": {"of_last": of_last, "at_most": at_most}})
    ledger.seen(*FUNDERS)
    for index in range(others):
        ledger.add(("bank-east", "cf-north", "trust-south")[index % 3])
    for _ in range(own):
        ledger.add("cf-west")
    assert ("max_share" in ledger.dropped(T0 + DAY).get("cf-west", [])) is dropped


def test_max_share_looks_back_no_further_than_the_last() -> None:
    """An entry just before the last `of_last` − 1 does not count."""
    ledger = Ledger({"rotation.max_share": {"of_last": 3, "at_most": 0.4}})
    ledger.seen(*FUNDERS)
    for funder_id in ("cf-west", "bank-east", "cf-north"):
        ledger.add(funder_id)
    assert ledger.dropped(T0 + DAY) == only("max_share", "bank-east", "cf-north")


def test_a_share_of_less_than_one_drawdown_drops_everybody() -> None:
    """With 0.3 of the last 3 not even a first drawdown fits."""
    ledger = Ledger({"rotation.max_share": {"of_last": 3, "at_most": 0.3}})
    ledger.seen(*FUNDERS)
    ledger.add("cf-west")
    ledger.add("cf-west")
    assert ledger.dropped(T0 + DAY) == only("max_share", *FUNDERS)


@pytest.mark.parametrize(
    ("days", "after", "dropped"), [(14, 14 * DAY - 1, True), (14, 14 * DAY, False), (0.5, DAY // 2 - 1, True)]
)
def test_cooldown_ends_to_the_millisecond(days: float, after: int, dropped: bool) -> None:
    """A funder rests while its last entry is younger than `days`."""
    ledger = Ledger({"rotation.cooldown": {"days": days}})
    ledger.seen(*FUNDERS)
    ledger.add("cf-west")
    assert ledger.dropped(T0 + after) == (only("cooldown", "cf-west") if dropped else {})


def test_cooldown_is_counted_from_the_funders_last_entry() -> None:
    """An older entry of the same funder does not end it."""
    ledger = Ledger({"rotation.cooldown": {"days": 14}})
    ledger.seen(*FUNDERS)
    ledger.add("cf-west", T0)
    ledger.add("cf-west", T0 + 10 * DAY)
    assert ledger.dropped(T0 + 20 * DAY) == only("cooldown", "cf-west")


BUDGET = {"rotation.exposure_budget": {"funders": 2, "within_days": 180}}


def exposure(ledger: Ledger, at: int) -> set[str]:
    """Funders that the budget keeps from seeing the borrower."""
    return {funder_id for funder_id, codes in ledger.dropped(at).items() if "exposure_budget" in codes}


def test_below_its_budget_anybody_may_see_the_borrower() -> None:
    """One funder of two has seen them: the budget is not spent."""
    ledger = Ledger(BUDGET)
    ledger.seen("bank-east")
    assert exposure(ledger, T0) == set()


@pytest.mark.parametrize("status", ["approved", "declined", "revoked", "expired"])
def test_every_answer_to_a_credit_application_is_an_exposure(status: str) -> None:
    """A funder that answered, whatever it said, has seen the borrower; with the budget spent no other may."""
    ledger = Ledger(BUDGET)
    ledger.seen("bank-east")
    ledger.world.handle(grant("cf-north", status=status))
    assert exposure(ledger, T0) == {"cf-west", "trust-south"}


@pytest.mark.parametrize(("after", "dropped"), [(180 * DAY - 1, {"cf-west", "trust-south"}), (180 * DAY, set())])
def test_an_exposure_leaves_the_budget_after_its_window(after: int, dropped: set[str]) -> None:
    """`within_days` to the millisecond."""
    ledger = Ledger(BUDGET)
    ledger.seen("bank-east", "cf-north")
    assert exposure(ledger, T0 + after) == dropped


@pytest.mark.parametrize("status", [None, "declined", "timed_out", "failed"])
def test_a_routed_drawdown_is_an_exposure_whatever_became_of_it(status: str | None) -> None:
    """The grants are out of the window, the drawdowns at two funders are in it."""
    ledger = Ledger(BUDGET)
    ledger.seen(*FUNDERS)
    routed = T0 + 179 * DAY
    ledger.add("bank-east", routed, status)
    ledger.add("cf-north", routed, status)
    assert exposure(ledger, T0 + 181 * DAY) == {"cf-west", "trust-south"}


def test_one_funder_seen_twice_spends_the_budget_once() -> None:
    """Distinct funders count, not drawdowns."""
    ledger = Ledger(BUDGET)
    ledger.seen("bank-east")
    ledger.add("bank-east")
    ledger.add("bank-east")
    assert exposure(ledger, T0 + DAY) == set()


def test_rotation_codes_stand_beside_hard_codes() -> None:
    """Every code that applies, hard ones first."""
    ledger = Ledger({"rotation.never_last": {"n": 1}, "funders.cf-west.status": "paused"})
    ledger.seen(*FUNDERS)
    ledger.add("cf-west")
    assert ledger.dropped(T0 + DAY) == {"cf-west": ["funder_paused", "never_last"]}
