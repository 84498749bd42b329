"""How many borrowers came back, by when they might have left: the cohorts of a funder, and life tables made of them.

A cohort is all that happened within one period of 3 days: so many departures of a kind (a loan, a drawdown that was
turned down, an early settlement), and of those borrowers so many came back in the same period, in the next, and so on.
Loans are counted a second time, by when they were settled early. Only whole periods enter a judgement, so that each
departure of a cohort has been watched for the same time.

Two kinds count what should stay rare instead: loans, by when they were settled early, and a funder's answers, by the
reports of borrowers in the same period.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from rotation.clock import DAY
from rotation.outputs import Departure

#: Length of a period (ms).
PERIOD = 3 * DAY
#: All grades together.
EVERYBODY = "all"
#: Periods that are kept and judged.
KEPT = 30
Kind = Departure | Literal["early", "report"]


class Cohort(msgspec.Struct, array_like=True):
    """Departures of one period; `back[n]` of them came back n periods later."""

    departed: int = 0
    back: list[int] = msgspec.field(default_factory=list)


Cohorts = dict[int, Cohort]


class LifeTable(msgspec.Struct, array_like=True):
    """Of those still away when the n-th period began (`away[n]`), how many came back in it (`back[n]`)."""

    away: list[int]
    back: list[int]


def period(at: int) -> int:
    """The number of the period of a time (ms)."""
    return at // PERIOD


def depart(cohorts: Cohorts, since: int) -> None:
    """One more departure, at `since` (ms)."""
    cohorts.setdefault(period(since), Cohort()).departed += 1


def come_back(cohorts: Cohorts, since: int, at: int) -> None:
    """One of those who departed at `since` came back at `at` (ms); nothing when that cohort is forgotten."""
    cohort = cohorts.get(period(since))
    later = max(0, period(at) - period(since))
    if cohort is None or later >= KEPT:
        return
    cohort.back += [0] * (later + 1 - len(cohort.back))
    cohort.back[later] += 1


def forget(cohorts: Cohorts, now: int) -> None:
    """Drop the cohorts that no judgement looks at any more at `now` (ms)."""
    for number in [number for number in cohorts if number <= period(now) - KEPT]:
        del cohorts[number]


def watched(cohorts: Cohorts, window: int, now: int) -> list[tuple[int, Cohort, int]]:
    """Each cohort, newest first, with the number of whole periods that it has been watched for, at most `window`."""
    ended = period(now)
    return [
        (number, cohorts[number], min(window, ended - number))
        for number in sorted(cohorts, reverse=True)
        if number < ended and cohorts[number].departed and window
    ]


def life_table(cohorts: Cohorts, window: int, now: int) -> LifeTable:
    """All cohorts together, each as far as it has been watched."""
    table = LifeTable([0] * window, [0] * window)
    for _, cohort, periods in watched(cohorts, window, now):
        away = cohort.departed
        for later in range(periods):
            came = cohort.back[later] if later < len(cohort.back) else 0
            table.away[later] += away
            table.back[later] += came
            away -= came
    return table


def horizon(table: LifeTable, enough: int) -> int:
    """For how many periods the table knows at least `enough` who were still away."""
    return next((later for later, away in enumerate(table.away) if away < enough), len(table.away))


def pooled(tables: Iterable[LifeTable], window: int) -> LifeTable:
    """Several life tables as one."""
    pool = LifeTable([0] * window, [0] * window)
    for table in tables:
        for later in range(min(window, len(table.away))):
            pool.away[later] += table.away[later]
            pool.back[later] += table.back[later]
    return pool


def known_by(table: LifeTable, cohorts: Cohorts) -> float:
    """How much of a log likelihood ratio is left of it, since what is usual is known from so many others alone.

    The error of a comparison with m others is that of n own departures alone times (n + m) / m.
    """
    return table.away[0] / max(1, table.away[0] + sum(cohort.departed for cohort in cohorts.values()))


def staying_away(table: LifeTable, errors: float) -> list[float]:
    """The share still away after 0, 1, 2 … periods, so many standard errors too high (negative: too low).

    The product-limit estimate of Kaplan & Meier (1958) with Greenwood's error. It is taken to the side that accuses
    nobody: too low a share of those who stay away would accuse whoever is compared with it.
    """
    share, variance, shares = 1.0, 0.0, [1.0]
    for away, back in zip(table.away, table.back, strict=True):
        if away > back > 0:
            share *= 1 - back / away
            variance += back / (away * (away - back))
        shares.append(min(1.0, max(0.0, share * (1 + errors * variance**0.5))))
    return shares


def key_of(grade: str, kind: Kind) -> str:
    """How the cohorts of a grade and kind are named."""
    return f"{grade} {kind}"
