"""The rotation configuration (contract, section 6): one revision is one such document."""

from typing import Annotated, Literal

import msgspec

from config.provinces import PROVINCES

#: Largest whole number that every JSON reader and Redis' Lua hold exactly.
MAX_EXACT = 2**53 - 1

RuleName = Literal["never_last", "max_share", "cooldown", "exposure_budget", "capture_risk"]
RiskGrade = Literal["A", "B", "C", "D", "E"]
Positive = Annotated[int, msgspec.Meta(ge=1, le=MAX_EXACT, description="a whole number of at least 1")]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_EXACT, description="a whole number of at least 0")]
Fen = Annotated[int, msgspec.Meta(ge=0, le=MAX_EXACT, description="a whole number of fen, at least 0 and below 2^53")]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=31_536_000, description="whole seconds, from 1 to a year of 31536000")]
WholeDays = Annotated[int, msgspec.Meta(ge=1, le=3650)]
Days = Annotated[float, msgspec.Meta(gt=0, le=3650)]
Weight = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Chance = Annotated[float, msgspec.Meta(gt=0, lt=1)]
ShareOrNone = Annotated[float, msgspec.Meta(ge=0, le=1)]
Ratio = Annotated[float, msgspec.Meta(gt=1, le=1000)]
Age = Annotated[int, msgspec.Meta(ge=0, le=150)]
Term = Annotated[int, msgspec.Meta(ge=1, le=120)]
Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="a text that is not blank")]
Id = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$(?!\n)",
        description="an id of 1 to 64 letters, digits, dots, underscores, colons or hyphens",
    ),
]
Region = Annotated[
    str,
    msgspec.Meta(
        pattern=f"^({'|'.join(PROVINCES)})$",
        max_length=6,
        description='a GB/T 2260 province code in quotes, such as "310000"',
    ),
]
Hours = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
        max_length=11,
        description='Shanghai opening hours in quotes, such as "06:00-23:00"',
    ),
]
TimeText = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$",
        max_length=40,
        description='an RFC 3339 time with zone, such as "2026-11-01T00:00:00+08:00"',
    ),
]


_FALSE_ALARMS = "the chance of a false alarm, above 0 and below 0.5, such as 0.01"
_ANNUAL_RATE = "whole basis points a year, from 100 to the legal 2400 (24%)"


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class NeverLast(_Section, frozen=True):
    """The funder may not be among the last `n` of the borrower's ledger."""

    n: Positive


class MaxShare(_Section, frozen=True):
    """No funder may hold more than `at_most` of the last `of_last` ledger entries, the new one included."""

    of_last: Annotated[int, msgspec.Meta(ge=2, le=1000)]
    at_most: Share

    @property
    def most(self) -> int:
        """`at_most` as a number of ledger entries; the product of two decimals may fall just short of its whole."""
        return int(self.at_most * self.of_last + 1e-9)


class Cooldown(_Section, frozen=True):
    """A funder rests for `days` after its last ledger entry."""

    days: Days


class ExposureBudget(_Section, frozen=True):
    """At most `funders` distinct funders may see a borrower within `within_days`."""

    funders: Positive
    within_days: Days


class CaptureRisk(_Section, frozen=True):
    """No funder that is expected to capture more than `at_most` of the borrowers of this grade at a drawdown.

    One that is merely suspected (normal or watched) passes for the `explored` share of the drawdowns, so that the
    suspicion comes to an end.
    """

    at_most: Chance
    explored: ShareOrNone = 0.0


class Rotation(_Section, frozen=True):
    """The soft rules and the order in which they are given up. A rule that is left out is off."""

    relax_order: list[RuleName]
    min_live_grants: Count
    never_last: NeverLast | None = None
    max_share: MaxShare | None = None
    cooldown: Cooldown | None = None
    exposure_budget: ExposureBudget | None = None
    capture_risk: CaptureRisk | None = None


class Pacing(_Section, frozen=True):
    """Quotas are spread over the day: a funder's price rises by `step` when a whole quota too much is used at once."""

    step: Annotated[float, msgspec.Meta(gt=0, le=100)]


class Selection(_Section, frozen=True):
    """How a funder is chosen among those left (contract, section 3, Choice)."""

    seed: Text
    pass_rate_exponent: Annotated[float, msgspec.Meta(ge=0, le=10)]
    exploration: ShareOrNone
    pacing: Pacing | None = None


class Attempts(_Section, frozen=True):
    """`max`: how many funders one drawdown may be shown to."""

    max: Positive


class Holding(_Section, frozen=True):
    """`seconds`: how long a drawdown may be held when it brings no `expires_at`."""

    seconds: Seconds


class Reservation(_Section, frozen=True):
    """`ttl_seconds`: how long a reservation waits for its outcome."""

    ttl_seconds: Seconds


class PassRatePrior(_Section, frozen=True):
    """What a funder's pass rate is taken to be before outcomes tell, and how many outcomes that belief weighs."""

    rate: Share
    strength: Weight


class Quota(_Section, frozen=True):
    """The most a funder takes in one Shanghai day, fen and drawdowns."""

    daily_amount: Fen
    daily_count: Count


class Guarantee(_Section, frozen=True):
    """Guarantee-enhanced lending of a consumer-finance company: fen, as of a time, and the cap on its share."""

    enhanced: bool
    balance: Fen
    guaranteed: Fen
    cap: Annotated[float, msgspec.Meta(gt=0, le=0.5)]
    as_of: TimeText


class Funder(_Section, frozen=True):
    """A funder: what it lends, to whom, when, and how much of it."""

    id: Id
    name: Text
    kind: Literal["bank", "consumer_finance", "trust"]
    status: Literal["active", "paused"]
    weight: Weight
    regions: list[Region] | Literal["all"]
    grades: list[RiskGrade]
    age: tuple[Age, Age]
    amount: tuple[Fen, Fen]
    terms: list[Term]
    open: Hours
    fee_bp: Annotated[int, msgspec.Meta(ge=0, le=10000)]
    pass_rate_prior: PassRatePrior
    quota: Quota
    guarantee: Guarantee | None = None


class CapturePassRate(_Section, frozen=True):
    """Detector of a fallen pass rate."""

    odds_ratio: Ratio
    arl_days: WholeDays
    min_events: Count


class CaptureNonReturn(_Section, frozen=True):
    """Detector of borrowers who do not come back."""

    window_days: WholeDays
    hazard_ratio: Ratio


class CaptureEarlySettlement(_Section, frozen=True):
    """Detector of loans that are settled early."""

    odds_ratio: Ratio


class CaptureCanary(_Section, frozen=True):
    """Test on canary accounts; `control_rate` is the share of accounts called that no funder ever saw."""

    alpha: Annotated[float, msgspec.Meta(gt=0, lt=0.5, description=_FALSE_ALARMS)]
    control_rate: Chance = 0.01


class CaptureCombined(_Section, frozen=True):
    """All evidence together: how likely it is beforehand that a funder `captures`, and that an honest one `changes` and
    turns more down; and how likely capture must be to make a funder suspect."""

    captures: Chance = 0.2
    changes: Chance = 0.2
    sure: Chance = 0.7


class TrafficMultiplier(_Section, frozen=True):
    """Share of its weight that a funder keeps on each step of the ladder."""

    watch: ShareOrNone
    throttled: ShareOrNone
    probing: ShareOrNone
    paused: ShareOrNone


class Ladder(_Section, frozen=True):
    """The response ladder; `paused_at_most` is the share of the funders that it pauses before it pauses no more."""

    traffic_multiplier: TrafficMultiplier
    calm_days: WholeDays
    pause_needs_approval: bool
    paused_at_most: Share = 0.5


class Capture(_Section, frozen=True):
    """Capture detection and the response to it."""

    pass_rate: CapturePassRate
    non_return: CaptureNonReturn
    early_settlement: CaptureEarlySettlement
    canary: CaptureCanary
    ladder: Ladder
    combined: CaptureCombined = CaptureCombined()


class ExampleGrant(_Section, frozen=True):
    """A live grant of an example's borrower, answered at its `at`; without a `credit_limit` every amount fits."""

    funder: Id
    credit_limit: Fen = MAX_EXACT
    apr_bp: Annotated[int, msgspec.Meta(ge=0, le=10000)] = 0


class ExampleDrawdown(_Section, frozen=True):
    """An earlier drawdown of an example's borrower, what became of it, and the principal still owed on it (fen)."""

    funder: Id
    days_ago: Days
    outcome: Literal["disbursed", "cancelled", "declined", "timed_out", "failed"] = "disbursed"
    owed: Fen = 0


class ExampleRequest(_Section, frozen=True):
    """The drawdown request of an example. With several funders left its id decides the draw."""

    amount: Annotated[int, msgspec.Meta(ge=1, le=MAX_EXACT, description="a whole number of fen, at least 1")]
    term_months: Term
    region: Region
    risk_grade: RiskGrade
    age: Annotated[int, msgspec.Meta(ge=18, le=100)]
    exclude_funders: list[Id] = []
    drawdown_id: Id = "example"


class ExampleExclusion(_Section, frozen=True):
    """A funder that is out, and a code that says why."""

    funder: Id
    code: Text


class Expected(_Section, frozen=True):
    """What a decision must say. `reason` is one of its `reasons`; `relaxed` are all rules given up, in order."""

    funder: Id | None = None
    reason: Text | None = None
    relaxed: list[RuleName] | None = None
    excluded: list[ExampleExclusion] = []


class Example(_Section, frozen=True):
    """A borrower, their request at a time, and the decision that this configuration must make of it."""

    name: Text
    at: TimeText
    grants: list[ExampleGrant]
    request: ExampleRequest
    expect: Expected
    past: list[ExampleDrawdown] = []


class RotationConfig(_Section, frozen=True):
    """The whole document."""

    schema: Literal[1]
    rotation: Rotation
    selection: Selection
    pass_rate_window_days: WholeDays
    attempts: Attempts
    holding: Holding
    reservation: Reservation
    apr_cap_bp: Annotated[int, msgspec.Meta(ge=100, le=2400, description=_ANNUAL_RATE)]
    funders: list[Funder]
    capture: Capture
    examples: list[Example] = []


class Revision(msgspec.Struct, frozen=True):
    """An accepted configuration: its number in the log (from 1), its canonical JSON and the SHA-256 of that."""

    id: int
    sha256: str
    config: RotationConfig
    canonical: bytes
