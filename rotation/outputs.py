"""What the core says to the world: the output records of the contract, in their stable field order.

The bytes of an output are a function of its content: the same inputs give the same bytes.
"""

from typing import Literal

import msgspec

DecisionStatus = Literal["routed", "held", "rejected"]
#: Where a borrower may be lost to a funder.
Departure = Literal["loan", "refusal", "dead_end", "walk_away", "settlement"]
Detector = Literal["pass_rate", "non_return", "early_settlement", "canary", "borrower_report", "combined"]
FunderStateName = Literal["normal", "watch", "throttled", "paused", "probing"]


class Candidate(msgspec.Struct, frozen=True):
    """A funder that passed every rule, and its probability of being first in rank."""

    funder_id: str
    propensity: float


class Decision(msgspec.Struct, frozen=True):
    """The decision for one attempt of one drawdown (`routing-decisions`)."""

    decision_id: str
    drawdown_id: str
    customer_id: str
    attempt: int
    status: DecisionStatus
    funder_id: str | None
    decided_at: str
    expires_at: str
    reasons: list[str]
    relaxed: list[str]
    candidates: list[Candidate]
    excluded: dict[str, list[str]]
    config_revision: int
    config_sha256: str
    funder_states_version: int


class CreditApplication(msgspec.Struct, frozen=True):
    """Advice: at which funder this borrower should apply for a line next (`credit-applications`)."""

    application_id: str
    customer_id: str
    funder_id: str
    reason: Literal["below_min_live_grants", "drawdown_held"]
    occurred_at: str


class FunderOutcome(msgspec.Struct, frozen=True, tag="outcome", tag_field="kind"):
    """An outcome re-keyed by funder, for the agent that keeps what is known of it (internal topic `funder-outcomes`).

    `occurred_at` is the stream time (ms) at which the outcome was folded into the borrower's record, `decided_at` that
    of the decision; `late` tells that the money moved after the reservation had ended; `canary` is the customer id of
    a canary, and None of all other borrowers; `amount` is what was lent (fen), 0 unless `disbursed`; `alone` tells of
    a refusal that no other funder was asked then.
    """

    funder_id: str
    risk_grade: str
    status: Literal["disbursed", "declined", "cancelled", "timed_out", "failed"]
    occurred_at: int
    late: bool = False
    canary: str | None = None
    attempt: int = 1
    decided_at: int = 0
    amount: int = 0
    alone: bool = False


class EarlySettlement(msgspec.Struct, frozen=True, tag="early_settlement", tag_field="kind"):
    """A loan of the funder, decided on at `decided_at`, was settled early at `occurred_at` (ms); same topic."""

    funder_id: str
    risk_grade: str
    decided_at: int
    occurred_at: int


class FunderReturn(msgspec.Struct, frozen=True, tag="return", tag_field="kind"):
    """A borrower came back at `occurred_at` after what had passed between them and the funder; same topic.

    `after` tells what that was, at `since` (ms): the decision on a loan, the decision on a first attempt that the
    funder refused or the borrower walked away from, or an early settlement. To be served by another funder in the same
    drawdown is to come back too; a refusal after which no other one was asked is a dead end, and compared with such.
    """

    funder_id: str
    risk_grade: str
    after: Departure
    since: int
    occurred_at: int


FunderEvent = FunderOutcome | EarlySettlement | FunderReturn


class SilentDetector(msgspec.Struct, frozen=True):
    """A detector that has seen too few `events` in a segment to alarm at all; it needs `needed`."""

    detector: Detector
    segment: str
    events: int
    needed: int


class FunderState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a funder stands on the response ladder, and its pass rates (`funder-states`)."""

    funder_id: str
    pass_rates: dict[str, float]
    state: FunderStateName
    traffic_multiplier: float
    since: str
    cause: str
    version: int
    capture_risk: dict[str, float] = {}
    silent: list[SilentDetector] = []
    price: float = 0.0

    @property
    def stopped(self) -> bool:
        """Whether the funder is given no drawdown."""
        return self.state == "paused" or self.traffic_multiplier <= 0


class CaptureEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a detector saw, in numbers, and what else it could mean.

    `statistic` reached `threshold`; for `canary` both are probabilities, and it fell to it. `since` is when the
    change is thought to have begun.
    """

    observed: float
    expected: float
    events: int
    statistic: float
    threshold: float
    since: str
    could_also_be: list[str] = []


class CaptureAlert(msgspec.Struct, frozen=True):
    """Evidence that a funder captures borrowers (`capture-alerts`).

    `level` is the step of the ladder that the evidence asks for. Where `state_after` is milder, a person must decide on
    a pause, or too many funders are paused already.
    """

    alert_id: str
    funder_id: str
    segment: str
    detector: Detector
    level: FunderStateName
    occurred_at: str
    evidence: CaptureEvidence
    state_before: FunderStateName
    state_after: FunderStateName


_encoder = msgspec.json.Encoder(order=None)


def encode(output: msgspec.Struct) -> bytes:
    """The record value of an output: compact UTF-8 JSON in field order."""
    return _encoder.encode(output)
