"""Borrowers: who they are, when they come back, and what they ask for. Pure: chance and time come in."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from market.publication import moment
from rotation.events import DrawdownRequest, RiskGrade

MEAN_RETURN_MS = 9_000
SHORTEST_RETURN_MS = 2_500
REGIONS = {"310000": 5, "440000": 5, "320000": 3, "330000": 3, "110000": 3, "370000": 2, "510000": 2, "650000": 1}
GRADES: dict[RiskGrade, int] = {"A": 3, "B": 4, "C": 3, "D": 1, "E": 1}
TERMS = {3: 2, 6: 3, 12: 5, 24: 1}
CANARY_SHARE = 0.02
NEVER_HEARD_OF = "bank-elsewhere"


@dataclass(frozen=True, slots=True)
class Borrower:
    """A borrower as the platform knows them. `quality` (0 to 1) is how well they repay, which funders partly see.

    `first_visit` is in ms; `canary` marks a consenting member of staff.
    """

    customer_id: str
    region: str
    grade: RiskGrade
    age: int
    quality: float
    canary: bool
    first_visit: int


def borrower(number: int, rng: Random, start: int) -> Borrower:
    """The borrower of that number. The first one comes at once, the others within one mean time of return."""
    grade = rng.choices(list(GRADES), list(GRADES.values()))[0]
    return Borrower(
        customer_id=f"cust-{number:04d}",
        region=rng.choices(list(REGIONS), list(REGIONS.values()))[0],
        grade=grade,
        age=min(62, max(19, round(rng.gauss(36, 9)))),
        quality=min(1.0, max(0.0, rng.gauss(0.9 - 0.15 * "ABCDE".index(grade), 0.12))),
        canary=rng.random() < CANARY_SHARE,
        first_visit=start + (rng.randrange(MEAN_RETURN_MS) if number else 0),
    )


def visits(borrower: Borrower, rng: Random) -> Iterator[tuple[int, DrawdownRequest]]:
    """When (ms) the borrower asks for money, and for what, without end. Good borrowers come back sooner."""
    at, number = borrower.first_visit, 0
    while True:
        number += 1
        yield at, _request(borrower, number, rng, at)
        mean = (MEAN_RETURN_MS - SHORTEST_RETURN_MS) * (1.55 - 0.8 * borrower.quality)
        at += SHORTEST_RETURN_MS + round(rng.expovariate(1 / mean))


def _request(borrower: Borrower, number: int, rng: Random, at: int) -> DrawdownRequest:
    drawdown_id = f"dd-{borrower.customer_id.removeprefix('cust-')}-{number}"
    roll = rng.random()
    expires_at = moment(at - 60_000) if roll < 0.01 else moment(at + 12_000) if roll < 0.05 else None
    return DrawdownRequest(
        event_id=f"{drawdown_id}-asked",
        occurred_at=moment(at),
        drawdown_id=drawdown_id,
        customer_id=borrower.customer_id,
        amount=10_000 * round(min(300, max(3, rng.lognormvariate(3.6, 0.8)))),
        term_months=rng.choices(list(TERMS), list(TERMS.values()))[0],
        region=borrower.region,
        risk_grade=borrower.grade,
        age=borrower.age,
        expires_at=expires_at,
        exclude_funders=["cf-west", NEVER_HEARD_OF] if rng.random() < 0.02 else None,
        canary=True if borrower.canary else None,
    )
