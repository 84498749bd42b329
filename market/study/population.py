"""Borrowers of a study: who they are, when they come, and what they ask for. All of it follows from the seed.

Nothing here depends on how drawdowns are routed, so that every policy meets the same borrowers.
"""

from dataclasses import dataclass
from random import Random

from market.borrowers import REGIONS
from market.study.scenario import GOOD_GRADES, Population
from rotation.clock import DAY, MINUTE
from rotation.events import RiskGrade

#: Midnight of 5 January 2026 in Shanghai (ms): day 0.
START = 1_767_542_400_000
GRADES: dict[RiskGrade, int] = {"A": 26, "B": 32, "C": 24, "D": 12, "E": 6}
QUALITY: dict[RiskGrade, float] = {"A": 0.88, "B": 0.8, "C": 0.68, "D": 0.55, "E": 0.45}
LIMITS: dict[RiskGrade, int] = {"A": 4_000_000, "B": 3_000_000, "C": 2_000_000, "D": 1_200_000, "E": 800_000}
TERMS = {3: 4, 6: 4, 12: 3}
_DAWN, _DUSK = 7 * 60, 24 * 60


@dataclass(frozen=True, slots=True)
class Visit:
    """A borrower asks for money at `at` (ms): `amount` in fen for `term_months`."""

    number: int
    at: int
    amount: int
    term_months: int


@dataclass(frozen=True, slots=True)
class Person:
    """A borrower. `quality` (0 to 1) is how well they repay; `good` ones are worth capturing; canaries are staff."""

    number: int
    customer_id: str
    region: str
    grade: RiskGrade
    age: int
    quality: float
    good: bool
    canary: bool
    visits: tuple[Visit, ...]


def person(number: int, rng: Random, population: Population, days: int) -> Person:
    """The borrower of that number, with all visits of a study of `days` that capture does not prevent."""
    grade = rng.choices(list(GRADES), list(GRADES.values()))[0]
    region = rng.choices(list(REGIONS), list(REGIONS.values()))[0]
    canary = rng.random() < population.canaries
    if canary:
        grade = rng.choice(GOOD_GRADES)
    quality = min(1.0, max(0.0, rng.gauss(QUALITY[grade], 0.08)))
    quality = max(quality, population.good_quality) if canary else quality
    return Person(
        number=number,
        customer_id=f"cust-{number:06d}",
        region=region,
        grade=grade,
        age=min(60, max(22, round(rng.gauss(36, 8)))),
        quality=quality,
        good=grade in GOOD_GRADES and quality >= population.good_quality and not canary,
        canary=canary,
        visits=tuple(_visits(grade, rng, population, days)),
    )


def _visits(grade: RiskGrade, rng: Random, population: Population, days: int) -> list[Visit]:
    mean = rng.uniform(*population.gap_days)
    first = rng.uniform(0, mean) if rng.random() < population.present else rng.uniform(0, days)
    visits: list[Visit] = []
    day = first
    while day < days:
        at = START + int(day) * DAY + rng.randrange(_DAWN, _DUSK) * MINUTE + rng.randrange(MINUTE)
        amount = 10_000 * round(min(LIMITS[grade] / 25_000, max(8, rng.lognormvariate(3.7, 0.6))))
        visits.append(Visit(len(visits) + 1, at, amount, rng.choices(list(TERMS), list(TERMS.values()))[0]))
        if rng.random() < population.churn:
            break
        day = int(day) + max(1.0, mean / 4 + rng.expovariate(4 / (3 * mean)))
    return visits
