"""The rotation configuration (contract, section 6): one revision is one such document."""

from typing import Annotated, Literal

import msgspec

RuleName = Literal["never_last", "max_share", "cooldown", "exposure_budget"]
RiskGrade = Literal["A", "B", "C", "D", "E"]
Positive = Annotated[int, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
PositiveFloat = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Region = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{6}$")]
Hours = Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class NeverLast(_Section):
    """The funder may not be among the last `n` of the borrower's ledger."""

    n: Positive


class MaxShare(_Section):
    """No funder may hold more than `at_most` of the last `of_last` ledger entries, the new one included."""

    of_last: Annotated[int, msgspec.Meta(ge=2)]
    at_most: Share


class Cooldown(_Section):
    """A funder rests for `days` after its last ledger entry."""

    days: PositiveFloat


class ExposureBudget(_Section):
    """At most `funders` distinct funders may see a borrower within `within_days`."""

    funders: Positive
    within_days: PositiveFloat


class Rotation(_Section):
    """The soft rules and the order in which they are given up. A rule that is left out is off."""

    relax_order: list[RuleName]
    min_live_grants: Count
    never_last: NeverLast | None = None
    max_share: MaxShare | None = None
    cooldown: Cooldown | None = None
    exposure_budget: ExposureBudget | None = None


class Selection(_Section):
    """How a funder is chosen among those left (contract, section 3, Choice)."""

    seed: str
    pass_rate_exponent: Annotated[float, msgspec.Meta(ge=0)]
    exploration: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Attempts(_Section):
    """`max`: how many funders one drawdown may be shown to."""

    max: Positive


class Holding(_Section):
    """`seconds`: how long a drawdown may be held when it brings no `expires_at`."""

    seconds: Positive


class Reservation(_Section):
    """`ttl_seconds`: how long a reservation waits for its outcome."""

    ttl_seconds: Positive


class PassRatePrior(_Section):
    """What a funder's pass rate is taken to be before outcomes tell, and how many outcomes that belief weighs."""

    rate: Share
    strength: PositiveFloat


class Quota(_Section):
    """The most a funder takes in one Shanghai day, fen and drawdowns."""

    daily_amount: Count
    daily_count: Count


class Guarantee(_Section):
    """Guarantee-enhanced lending of a consumer-finance company: fen, as of a time, and the cap on its share."""

    enhanced: bool
    balance: Count
    guaranteed: Count
    cap: Share
    as_of: Annotated[str, msgspec.Meta(description="RFC 3339 with zone")]


class Funder(_Section):
    """A funder: what it lends, to whom, when, and how much of it."""

    id: Id
    name: str
    kind: Literal["bank", "consumer_finance", "trust"]
    status: Literal["active", "paused"]
    weight: PositiveFloat
    regions: list[Region] | Literal["all"]
    grades: list[RiskGrade]
    age: tuple[int, int]
    amount: tuple[int, int]
    terms: list[int]
    open: Hours
    fee_bp: Count
    pass_rate_prior: PassRatePrior
    quota: Quota
    guarantee: Guarantee | None = None


class CapturePassRate(_Section):
    """Detector of a fallen pass rate."""

    odds_ratio: PositiveFloat
    arl_days: Positive
    min_events: Count


class CaptureNonReturn(_Section):
    """Detector of borrowers who do not come back."""

    window_days: Positive
    hazard_ratio: PositiveFloat


class CaptureEarlySettlement(_Section):
    """Detector of loans that are settled early."""

    odds_ratio: PositiveFloat


class CaptureCanary(_Section):
    """Test on canary accounts."""

    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)]


class TrafficMultiplier(_Section):
    """Share of its weight that a funder keeps on each step of the ladder."""

    watch: Annotated[float, msgspec.Meta(ge=0, le=1)]
    throttled: Annotated[float, msgspec.Meta(ge=0, le=1)]
    probing: Annotated[float, msgspec.Meta(ge=0, le=1)]
    paused: Annotated[float, msgspec.Meta(ge=0, le=1)]


class Ladder(_Section):
    """The response ladder."""

    traffic_multiplier: TrafficMultiplier
    calm_days: Positive
    pause_needs_approval: bool


class Capture(_Section):
    """Capture detection and the response to it."""

    pass_rate: CapturePassRate
    non_return: CaptureNonReturn
    early_settlement: CaptureEarlySettlement
    canary: CaptureCanary
    ladder: Ladder


class RotationConfig(_Section):
    """The whole document."""

    schema: Literal[1]
    rotation: Rotation
    selection: Selection
    pass_rate_window_days: Positive
    attempts: Attempts
    holding: Holding
    reservation: Reservation
    apr_cap_bp: Annotated[int, msgspec.Meta(ge=0, le=2400)]
    funders: Annotated[list[Funder], msgspec.Meta(min_length=1)]
    capture: Capture


class Revision(msgspec.Struct, frozen=True):
    """An accepted configuration: its number in the log (from 1) and the SHA-256 of its canonical JSON."""

    id: int
    sha256: str
    config: RotationConfig
