"""The answer to a what-if as one document: before and after, what was estimated, and what the data cannot tell."""

from typing import Literal

import msgspec

from whatif.estimate import Value

#: Of so many days at most traffic may be asked for.
MOST_DAYS = 3650


class Use(msgspec.Struct, frozen=True):
    """How far a funder's daily quota is used, amount or count, whichever is more: shares of it, and days."""

    mean: float
    highest: float
    full_days: int


class FunderSide(msgspec.Struct, frozen=True):
    """What went to a funder: routed decisions, their share of all, their amount (fen), and its quota."""

    routed: int
    share: float
    amount: int
    use: Use | None


class Side(msgspec.Struct, frozen=True):
    """Before or after. `top_share` is the mean over borrowers of the share of the funder that has most of their ledger,
    `top_shares` how many borrowers have which, in twentieths; `funders_per_borrower` the mean number of funders that a
    borrower's drawdowns went to."""

    drawdowns: int
    served: int
    unserved: int
    funders: dict[str, FunderSide]
    relaxed: dict[str, int]
    top_share: float
    top_shares: list[int]
    funders_per_borrower: float


class Outcomes(msgspec.Struct, frozen=True):
    """Loans, money lent and fees (fen) with 95% intervals."""

    loans: Value
    amount: Value
    fees: Value


class MovedTo(msgspec.Struct, frozen=True):
    """Drawdowns that move to a funder, and how many of them would become loans."""

    drawdowns: int
    outcomes: int
    effective_outcomes: float
    loan_rate: float
    loan_rate_interval: tuple[float, float]


class Evidence(msgspec.Struct, frozen=True):
    """On what the estimates stand: counts of drawdowns, by what the draft would have chosen first.

    `in_flight` had no outcome yet when the record ended and count nowhere. `answers_drawn` of `answers` in the replay
    of the draft were drawn by pass rate. `older` drawdowns, of which outcomes or repayments tell, were decided before
    the record begins: no ledger holds them.
    """

    same: int
    moved: int
    unserved: int
    uncovered: int
    in_flight: int
    moved_to: dict[str, MovedTo]
    answers: int
    answers_drawn: int
    older: int = 0


class Window(msgspec.Struct, frozen=True):
    """Only drawdowns requested `since` then are counted; what happened to drawdowns is known from `known_since` on."""

    since: str
    known_since: str


class Report(msgspec.Struct, frozen=True):
    """The whole answer. `answer`: whether the record can tell what the draft would bring; `why` says what it cannot."""

    draft_sha256: str
    active_revision: int
    answer: Literal["yes", "no"]
    why: list[str]
    before: Side
    after: Side
    outcomes: Outcomes
    evidence: Evidence
    window: Window | None = None
