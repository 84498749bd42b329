"""The audit judges each moment by what was in force and known then, and tells what is missing.

Short lives of one borrower, played through the real core.
"""

from typing import Any

import msgspec

from market.audit import audit
from rotation.clock import DAY
from rotation.outputs import Decision
from tests.rotation.play import Play
from tests.rotation.world import SECOND, grant, repayment, request

CHO: dict[str, Any] = {"customer_id": "cho"}
FIRST = "cf-north"


class Life(Play):
    """One borrower's events, each a second after the one before; at first no funder has granted anything."""

    def granted(self, funder_id: str, **changes: Any) -> None:
        """The funder answers an application."""
        self.now += SECOND
        self.publish(grant(funder_id, self.now, **CHO, **changes))

    def asked(self, drawdown_id: str) -> None:
        """Money is wanted, within four days."""
        self.now += SECOND
        self.publish(request(drawdown_id, self.now, expires=self.now + 4 * DAY, **CHO))

    def repaid(self, outstanding: int) -> None:
        """Of dd-1, so much is still owed."""
        self.now += SECOND
        self.publish(repayment("dd-1", FIRST, outstanding, self.now, **CHO))

    def decided(self) -> list[tuple[str, str | None]]:
        """All decisions on the borrower: their ids, and the funders chosen."""
        each = [msgspec.json.decode(value, type=Decision) for value in self.decisions.values()]
        return [(decision.decision_id, decision.funder_id) for decision in each]

    def told(self, *, without: str = "") -> list[tuple[str, str]]:
        """What the audit finds, when the log has no record of the topic or decision `without`."""
        self.end()
        gone = f'{{"decision_id":"{without}"'.encode()
        log = [each for each in self.log if each.topic != without and not (each.value or b"").startswith(gone)]
        report = audit(log, self.revisions, ended_at=self.now, slack_ms=0, skew_ms=0)
        return [(violation.kind, violation.where) for violation in report.violations]


def life(*funders: str, **changes: Any) -> Life:
    """A borrower with grants at these funders."""
    started = Life()
    for funder_id in funders:
        started.granted(funder_id, **changes)
    return started


def test_a_repayment_counts_before_the_outcome_that_made_the_loan() -> None:
    """Of a line of 700,000, 100,000 are owed: 600,000 are free. Without the repayment they are not."""
    lived = life(FIRST, limit=700_000)
    lived.asked("dd-1")
    lived.repaid(100_000)
    lived.asked("dd-2")
    assert lived.decided() == [("dd-1:1", FIRST), ("dd-2:1", FIRST)]
    assert lived.told() == []
    assert lived.told(without="repayments") == [("hard_rule", "dd-2:1")]
