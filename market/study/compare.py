"""Policies compared over scenarios and seeds: means with 95% t-intervals, and how much of the way each one goes.

Every policy meets the same borrowers and the same luck of a seed, so differences are taken seed by seed.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from math import inf, isfinite, nan, sqrt
from multiprocessing import Value
from multiprocessing.sharedctypes import Synchronized
from statistics import median
from typing import NamedTuple

import msgspec

from config.rotation import Revision
from market.study.measures import Measures
from market.study.policies import STRATEGIES
from market.study.scenario import Scenario
from market.study.simulate import Simulation

WORST, BEST, ROTATION = "lock_in", "truth", "rotation"
#: Two-sided 95% points of Student's t by degrees of freedom; 1.96 from 30 on.
_T = (
    *(nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045),
)
_T_LARGE = 1.96
#: Seconds between two looks at how far other processes are.
_LOOKS_EVERY = 0.5

_days: "Synchronized[int]"


class Job(NamedTuple):
    """One run that is to be made."""

    scenario: Scenario
    configuration: Revision
    policy: str
    seed: int
    borrowers: int
    days: int
    bounded: bool = False


class Estimate(msgspec.Struct, frozen=True):
    """A mean over seeds and the half-width of its 95% interval; None where one seed tells none."""

    mean: float
    half_width: float | None
    seeds: int


class Row(msgspec.Struct, frozen=True):
    """One policy in one scenario, over all seeds. Revenue in fen.

    `regret_closed` is the way from lock-in (0) to full knowledge (1) on revenue net of captures, `capture_closed` the
    same on captured good borrowers; None where there is no way to go, or one of the two was not run. `bound` is the
    most that the drawdowns of the policy's own runs could have earned on average, and `of_bound` the share of it that
    they would have earned on average where they went; None where the bound was not asked for. `detected_share` is None
    for a policy that does not look for funders who capture. `detection_days` is the median over all who capture: None
    where half of them are not found.
    """

    scenario: str
    policy: str
    captured_share: Estimate
    revenue: Estimate
    fees: Estimate
    regret_closed: Estimate | None
    capture_closed: Estimate | None
    against_lock_in: Estimate | None
    against_rotation: Estimate | None
    top_share: Estimate
    exposure: Estimate
    unserved_share: Estimate
    detected_share: float | None
    detection_days: float | None
    false_steps_a_year: float
    overruns: int
    violations: int
    bound: Estimate | None = None
    of_bound: Estimate | None = None


def play(job: Job, on_day: Callable[[int], None] = lambda day: None) -> Measures:
    """Make one run; `on_day` is told each day that has ended."""
    strategy = STRATEGIES[job.policy]
    return Simulation(
        job.scenario,
        job.configuration,
        strategy,
        seed=job.seed,
        borrowers=job.borrowers,
        days=job.days,
        bounded=job.bounded,
    ).run(on_day)


def play_all(
    jobs: Sequence[Job], processes: int, advance: Callable[[int], None] = lambda days: None
) -> Iterator[Measures]:
    """Make all runs, some at a time; in the order in which they end. `advance` is told how many more days are over."""
    if processes <= 1:
        for job in jobs:
            yield play(job, lambda day: advance(1))
        return
    days: Synchronized[int] = Value("q", 0)
    with ProcessPoolExecutor(processes, initializer=_share, initargs=(days,)) as pool:
        told, waiting = 0, {pool.submit(play, job, _count) for job in jobs}
        while waiting:
            done, waiting = wait(waiting, timeout=_LOOKS_EVERY, return_when=FIRST_COMPLETED)
            over = days.value
            advance(over - told)
            told = over
            for each in done:
                yield each.result()


def _share(days: "Synchronized[int]") -> None:
    """In a process of the pool: count the days that it plays with those of the others."""
    global _days
    _days = days


def _count(day: int) -> None:
    with _days.get_lock():
        _days.value += 1


def compare(runs: Iterable[Measures]) -> list[Row]:
    """A row for each scenario and policy, in the order of the scenarios' names and of `STRATEGIES`."""
    by_key: dict[tuple[str, str], dict[int, Measures]] = {}
    for run in runs:
        by_key.setdefault((run.scenario, run.policy), {})[run.seed] = run
    order = list(STRATEGIES)
    keys = sorted(by_key, key=lambda key: (key[0], order.index(key[1])))
    return [_row(by_key[key], {name: by_key.get((key[0], name), {}) for name in STRATEGIES}) for key in keys]


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95% t-interval of independent values."""
    count = len(values)
    mean = sum(values) / count
    if count < 2:
        return Estimate(mean, None, count)
    deviation = sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    t = _T[count - 1] if count - 1 < len(_T) else _T_LARGE
    return Estimate(mean, t * deviation / sqrt(count), count)


def _row(runs: Mapping[int, Measures], others: Mapping[str, Mapping[int, Measures]]) -> Row:
    worst, best = others[WORST], others[BEST]
    every = [runs[seed] for seed in sorted(runs)]

    def over(of: Callable[[Measures], float]) -> Estimate:
        return estimate([of(run) for run in every])

    def closed(of: Callable[[Measures], float]) -> Estimate | None:
        """The ratio seed by seed: its mean is over seeds in which there is a way to go."""
        seeds = [seed for seed in sorted(runs) if seed in worst and seed in best]
        ratios = [
            (of(runs[seed]) - of(worst[seed])) / way
            for seed in seeds
            if worst[seed].capturing and (way := of(best[seed]) - of(worst[seed])) > 0
        ]
        return estimate(ratios) if ratios else None

    def against(other: Mapping[int, Measures]) -> Estimate | None:
        """What is earned more than under the other policy."""
        more = [run.revenue - other[run.seed].revenue for run in every if run.seed in other]
        return estimate(more) if more else None

    bounds = [(run.expected, run.bound) for run in every if run.expected is not None and run.bound]
    capturing = sum(run.capturing for run in every)
    delays = [delay for run in every for delay in run.detected.values()]
    middle = median([*delays, *[inf] * (capturing - len(delays))]) if capturing else inf
    return Row(
        scenario=every[0].scenario,
        policy=every[0].policy,
        captured_share=over(lambda run: run.captured_share),
        revenue=over(lambda run: run.revenue),
        fees=over(lambda run: run.fees),
        regret_closed=closed(lambda run: run.revenue),
        capture_closed=closed(lambda run: -run.captured),
        against_lock_in=against(worst),
        against_rotation=against(others[ROTATION]),
        top_share=over(lambda run: run.top_share),
        exposure=over(lambda run: run.exposure),
        unserved_share=over(lambda run: run.unserved / max(1, run.drawdowns)),
        detected_share=len(delays) / capturing if capturing and STRATEGIES[every[0].policy].accuses else None,
        detection_days=middle if isfinite(middle) else None,
        false_steps_a_year=sum(run.false_steps for run in every) / max(1e-9, sum(run.honest_years for run in every)),
        overruns=sum(run.overruns for run in every),
        violations=sum(sum(run.violations.values()) for run in every),
        bound=estimate([most for _, most in bounds]) if bounds else None,
        of_bound=estimate([expected / most for expected, most in bounds]) if bounds else None,
    )
