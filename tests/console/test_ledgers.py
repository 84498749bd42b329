"""The ledger that the console makes of a borrower's events is the core's, and top shares are counted from it."""

import pytest

from config.rotation import MaxShare
from console.ledgers import TopShare, ledger, top_share
from rotation.clock import DAY
from rotation.state import COUNTED
from tests.console.test_supposed import PASTS, played, rules
from tests.rotation.world import T0, configuration

NOW = T0 + 30 * DAY


@pytest.mark.parametrize("past", PASTS, ids=lambda past: "+".join(past) or "none")
def test_the_ledger_is_that_of_the_core(past: list[str]) -> None:
    """Loans and what may become one; what was refused or ended without an answer is none."""
    world, events = played(past, 1)
    world.wake(NOW)

    kept = [entry.funder_id for entry in world.borrower().ledger if entry.status in COUNTED]

    assert ledger(events, configuration(rules(1)), at=NOW) == kept


def test_what_came_later_is_left_out() -> None:
    """And the decision itself that is asked about."""
    _, events = played(["disbursed"] * 4, 1)
    whole = ledger(events, configuration(rules(1)), at=NOW)

    assert ledger(events, configuration(rules(1)), at=T0 + 2 * DAY + DAY // 2) == whole[:2]
    assert ledger(events, configuration(rules(1)), at=NOW, but="dd-0:1") == whole[1:]


def test_top_shares_are_of_full_ledgers() -> None:
    """Of their last entries; a shorter ledger tells nothing yet."""
    cap = MaxShare(of_last=5, at_most=0.4)
    ledgers = [list("aabbc"), list("xxxxaabbc"), list("aaabc"), list("aaaa")]

    assert top_share(ledgers, cap) == TopShare(3, (2 + 2 + 3) / 3 / 5, 1)
    assert top_share([list("aaaa")], cap) is None
