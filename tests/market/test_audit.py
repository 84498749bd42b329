"""The audit judges each moment by what was in force and known then, and tells what is missing.

Short lives of one borrower, played through the real core.
"""

from typing import Any

import msgspec
import pytest

from market.audit import Record, audit
from rotation.clock import DAY
from rotation.outputs import Decision
from tests.rotation.play import Move, Play
from tests.rotation.world import FUNDERS, HOUR, SECOND, grant, outcome, repayment, request

CHO: dict[str, Any] = {"customer_id": "cho"}
FIRST, OTHER = "cf-north", "cf-west"


class Life(Play):
    """One borrower's events, each a second after the one before; at first no funder has granted anything."""

    def granted(self, funder_id: str, **changes: Any) -> None:
        """The funder answers an application."""
        self.now += SECOND
        self.publish(grant(funder_id, self.now, **CHO, **changes))

    def asked(self, drawdown_id: str, within: int = 4 * DAY) -> None:
        """Money is wanted."""
        self.now += SECOND
        self.publish(request(drawdown_id, self.now, expires=self.now + within, **CHO))

    def came_to(self, status: str, drawdown_id: str = "dd-1", funder_id: str = FIRST, attempt: int = 1) -> None:
        """An attempt has an outcome."""
        self.now += SECOND
        self.publish(outcome(drawdown_id, funder_id, status, self.now, attempt=attempt, **CHO))

    def repaid(self, outstanding: int) -> None:
        """Of dd-1, so much is still owed."""
        self.now += SECOND
        self.publish(repayment("dd-1", FIRST, outstanding, self.now, **CHO))

    def ladder(self, funder_id: str, *, paused: bool) -> None:
        """The funder's state changes."""
        self.do(Move("state", 0, FUNDERS.index(funder_id), 2 if paused else 0, 0))

    def decided(self) -> list[tuple[str, str | None]]:
        """All decisions on the borrower: their ids, and the funders chosen."""
        each = [msgspec.json.decode(value, type=Decision) for value in self.decisions.values()]
        return [(decision.decision_id, decision.funder_id) for decision in each]

    def told(self, *, without: str = "", added: tuple[Record, ...] = ()) -> list[tuple[str, str]]:
        """What the audit finds, when the log has no record of the topic or decision `without`, and some more."""
        self.end()
        gone = f'{{"decision_id":"{without}"'.encode()
        log = [each for each in self.log if each.topic != without and not (each.value or b"").startswith(gone)]
        report = audit([*log, *added], self.revisions, ended_at=self.now, slack_ms=0, skew_ms=0)
        return [(violation.kind, violation.where) for violation in report.violations]


def life(*funders: str, **changes: Any) -> Life:
    """A borrower with grants at these funders."""
    started = Life()
    for funder_id in funders:
        started.granted(funder_id, **changes)
    return started


def test_attempts_left_are_those_of_the_moment_of_the_outcome() -> None:
    """The most attempts were three when the first was decided, and one when its funder said no."""
    lived = life(FIRST)
    lived.asked("dd-1")
    lived.configure({"attempts.max": 1})
    lived.granted(OTHER)
    lived.came_to("declined")
    assert lived.decided() == [("dd-1:1", FIRST)]
    assert lived.told() == []


def test_an_attempt_once_begun_goes_on() -> None:
    """The second attempt is on hold when the most attempts become one; it is routed all the same."""
    lived = life(FIRST)
    lived.asked("dd-1")
    lived.came_to("declined")
    lived.configure({"attempts.max": 1})
    lived.granted(OTHER)
    assert lived.decided()[1:] == [("dd-1:2:held", None), ("dd-1:2", OTHER)]
    assert lived.told() == []


def test_a_missing_next_attempt_is_told() -> None:
    """The funder said no, another one was left, and there is no decision."""
    lived = life(FIRST)
    lived.asked("dd-1")
    lived.granted(OTHER)
    lived.came_to("declined")
    assert lived.told(without="dd-1:2") == [("unaccounted", "dd-1:1")]


def test_no_next_attempt_when_an_earlier_one_was_paid_out_after_all() -> None:
    """The first timed out, the second is asked, the first has moved the money: no third when the second says no."""
    lived = life(FIRST)
    lived.asked("dd-1")
    lived.came_to("timed_out")
    lived.granted(OTHER)
    lived.came_to("disbursed")
    lived.granted("bank-east")
    lived.came_to("declined", funder_id=OTHER, attempt=2)
    assert lived.decided()[2:] == [("dd-1:2", OTHER)]
    assert lived.told() == []


def test_a_hold_is_not_served_when_an_earlier_attempt_was_paid_out_after_all() -> None:
    """Whatever grant comes then, it expires."""
    lived = life(FIRST)
    lived.asked("dd-1")
    lived.came_to("timed_out")
    lived.came_to("disbursed")
    lived.granted(OTHER)
    assert lived.told() == []
    assert lived.decided()[1:] == [("dd-1:2:held", None), ("dd-1:2", None)]


def test_a_grant_that_should_have_served_a_hold_is_told() -> None:
    """The log has a grant that the core was not given."""
    lived = life()
    lived.asked("dd-1")
    came = grant(FIRST, lived.now + SECOND, **CHO)
    record = Record("credit-grants", 0, 999, lived.now + SECOND, b"cho", msgspec.json.encode(came))
    assert lived.told(added=(record,)) == [("missed_wakeup", "dd-1:1:held")]


def test_a_grant_is_judged_by_the_configuration_of_its_moment() -> None:
    """The funder is paused when its grant comes, and active again when the grant is gone."""
    lived = life()
    lived.asked("dd-1")
    lived.configure({f"funders.{FIRST}.status": "paused"})
    lived.granted(FIRST)
    lived.granted(FIRST, status="revoked")
    lived.configure({})
    assert lived.told() == []


def test_a_grant_is_judged_by_the_ladder_of_its_moment() -> None:
    """The same with the pause of the response ladder."""
    lived = life()
    lived.asked("dd-1")
    lived.ladder(FIRST, paused=True)
    lived.granted(FIRST)
    lived.granted(FIRST, status="revoked")
    lived.ladder(FIRST, paused=False)
    assert lived.told() == []


def test_a_rule_that_is_never_given_up_may_keep_a_hold_from_any_grant() -> None:
    """The borrower's only funder is in its cooldown, which `relax_order` leaves out."""
    lived = life(FIRST)
    lived.configure({"rotation.relax_order": ["never_last"]})
    lived.asked("dd-1")
    lived.came_to("cancelled")
    lived.asked("dd-2")
    lived.granted(FIRST)
    assert lived.told() == []


@pytest.mark.parametrize(("event_id", "days_older"), [("g-1", 0), ("g-0", 1)], ids=["repeated", "older"])
def test_a_grant_that_tells_nothing_new_serves_no_hold(event_id: str, days_older: int) -> None:
    """The day's quota was full when the hold was made, and another borrower gives back what they took of it."""
    lived = life()
    lived.configure({f"funders.{FIRST}.quota": {"daily_amount": 600_000, "daily_count": 1}})
    others = [funder_id for funder_id in FUNDERS if funder_id != FIRST]
    lived.publish(request("dd-0", lived.now, exclude_funders=others, customer_id="ann"))
    lived.granted(FIRST, event_id="g-1")
    granted_at = lived.now
    lived.asked("dd-1", within=HOUR)
    lived.now += SECOND
    lived.publish(outcome("dd-0", FIRST, "cancelled", lived.now, customer_id="ann"))
    lived.now += SECOND
    lived.publish(grant(FIRST, granted_at - days_older * DAY, event_id=event_id, **CHO))
    assert lived.decided() == [("dd-0:1", FIRST), ("dd-1:1:held", None)]
    assert lived.told() == []


def test_a_repayment_counts_before_the_outcome_that_made_the_loan() -> None:
    """Of a line of 700,000, 100,000 are owed: 600,000 are free. Without the repayment they are not."""
    lived = life(FIRST, limit=700_000)
    lived.asked("dd-1")
    lived.repaid(100_000)
    lived.asked("dd-2")
    assert lived.decided() == [("dd-1:1", FIRST), ("dd-2:1", FIRST)]
    assert lived.told() == []
    assert lived.told(without="repayments") == [("hard_rule", "dd-2:1")]
