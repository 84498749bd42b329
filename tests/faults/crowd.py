"""The market of the fault suite: a crowd may join it for a while, and a funder in it may fall silent."""

from itertools import takewhile

from config.rotation import RotationConfig
from market.market import Market
from market.publication import Publication, moment, publication
from rotation.events import DrawdownOutcome
from rotation.outputs import CreditApplication, Decision

CROWD_FIRST = 100_000
STRANGER = "stranger-"
"""How ids of borrowers begin who belong to no market."""
GIVES_UP_MS = 4_000


class Crowd(Market):
    """A market whose `silent` funder, if there is one, never answers.

    To every second drawdown there the platform says `timed_out` after four seconds, to the others nobody says anything.
    """

    def __init__(self, config: RotationConfig, *, seed: int, rate: float, start: int) -> None:
        super().__init__(config, seed=seed, rate=rate, start=start)
        self.silent: str | None = None
        self._joined: Market | None = None

    def join(self, other: Market, end: int) -> list[Publication]:
        """What the borrowers of another market publish by themselves up to `end` (ms); now they are answered."""
        self._joined = other
        return list(takewhile(lambda item: item.at < end, other.plan()))

    def answer_decision(self, decision: Decision, at: int) -> list[Publication]:
        """See `Market`."""
        if decision.funder_id is not None and decision.funder_id == self.silent:
            return _given_up(decision, at)
        if (other := self._other(decision.customer_id)) is not None:
            return other.answer_decision(decision, at)
        return super().answer_decision(decision, at)

    def answer_advice(self, application: CreditApplication, at: int) -> list[Publication]:
        """See `Market`; a stranger follows none."""
        if application.customer_id.startswith(STRANGER):
            return []
        if (other := self._other(application.customer_id)) is not None:
            return other.answer_advice(application, at)
        return super().answer_advice(application, at)

    def _other(self, customer_id: str) -> Market | None:
        if customer_id.startswith(STRANGER) or int(customer_id.removeprefix("cust-")) < CROWD_FIRST:
            return None
        return self._joined


def _given_up(decision: Decision, at: int) -> list[Publication]:
    if int(decision.drawdown_id.rpartition("-")[2]) % 2:
        return []
    when = at + GIVES_UP_MS
    outcome = DrawdownOutcome(
        event_id=f"{decision.drawdown_id}-{decision.attempt}-given-up",
        occurred_at=moment(when),
        drawdown_id=decision.drawdown_id,
        customer_id=decision.customer_id,
        funder_id=decision.funder_id or "",
        attempt=decision.attempt,
        status="timed_out",
    )
    return [publication(outcome, when)]
