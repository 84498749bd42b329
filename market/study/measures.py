"""What a run of a study is measured by."""

from collections.abc import Mapping, Sequence

import msgspec

#: What it cost to win a borrower, lost with each good one that is captured (fen).
LOSS_PER_CAPTURE = 100_000


class Measures(msgspec.Struct, frozen=True):
    """One run. Money in fen, days since the start of the study.

    `captured_by_day` counts good borrowers captured up to each day's end. `capturing` are the funders that capture in
    this run: they begin before its end, and there are borrowers for them. `detected` and `alerted` give the days from
    such a funder's first day of capture to the first throttle, pause or alert that asks for a pause since, and to its
    first alert since. `false_steps` are throttles and pauses of other funders, or made before they began, in
    `honest_years` funder-years of such. Where the bound was asked for, `bound` is the most that the run's drawdowns
    could have earned on average, and `expected` what they would have earned on average where they went
    (`market.study.bound`).
    """

    scenario: str
    policy: str
    seed: int
    borrowers: int
    days: int
    good: int
    captured: int
    captured_by_day: list[int]
    fees: int
    drawdowns: int
    disbursed: int
    unserved: int
    held: int
    capturing: int
    detected: dict[str, int]
    alerted: dict[str, int]
    false_steps: int
    false_alerts: int
    honest_years: float
    top_share: float
    exposure: float
    shares: dict[str, float]
    exposed_good: int
    overruns: int
    violations: dict[str, int]
    refusals: int
    seconds: float
    expected: float | None = None
    bound: float | None = None

    @property
    def captured_share(self) -> float:
        """Share of the good borrowers that were captured."""
        return self.captured / self.good if self.good else 0.0

    @property
    def revenue(self) -> int:
        """Fees less what the captured good borrowers had cost (fen)."""
        return self.fees - LOSS_PER_CAPTURE * self.captured


def top_share(loans: Sequence[Mapping[str, int]]) -> float:
    """Mean share of a borrower's loans that the funder with most of them holds, over those with three loans or more."""
    shares = [max(of.values()) / total for of in loans if (total := sum(of.values())) >= 3]
    return sum(shares) / len(shares) if shares else 0.0
