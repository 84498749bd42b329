"""Detectors that compare a funder with the others: who does not come back, settles early, or complains.

Each cohort of the funder is judged against what is usual at the other funders after as long a time, in the same risk
grade: by the likelihood of a market in which a share c of the borrowers never comes back (a cure model, Berkson & Gage
1952), or in which something rare happens ρ times as often, against that of one in which nothing is different. The
change may have begun with any cohort, so the statistic is the largest log likelihood ratio over all beginnings (Page
1954).

False alarms: for a beginning, the ratio is a martingale as time goes on while nothing is different, so it ever reaches
A with a chance of 1/A at most (Ville 1939). With one beginning each period, and so many statistics of a funder, a
threshold of ln(statistics · arl_days / days of a period) makes one false alarm in `arl_days` or more, but for the error
of what is usual, which is therefore taken one standard error to the side that accuses nobody.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from capture.cohorts import EVERYBODY, PERIOD, Kind, LifeTable, horizon, key_of, known_by, staying_away, watched
from capture.record import FunderRecord
from config.rotation import Capture, Funder
from rotation.clock import DAY
from rotation.outputs import Departure, Detector

#: How many times as many reports as elsewhere are looked for.
REPORT_RATIO = 3.0
#: Those whom the funder refused: another funder was asked then, or none was.
REFUSED: tuple[Departure, ...] = ("refusal", "dead_end")
#: After what a borrower may stay away.
AFTER: dict[str, tuple[Departure, ...]] = {
    "after a refusal": REFUSED,
    "after walking away": ("walk_away",),
    "after a loan": ("loan",),
    "after settling early": ("settlement",),
}
_LEAST_LOST, _MOST_LOST = 0.02, 0.5


class Judged(NamedTuple):
    """A cohort against what is usual: `observed` of `departed`, each with a chance of `usual`, and what that tells."""

    period: int
    observed: int
    departed: int
    usual: float
    log_ratio: float


class Statistic(NamedTuple):
    """The largest log likelihood ratio, of the cohorts since `since` (ms)."""

    detector: Detector
    segment: str
    value: float
    since: int
    observed: int
    expected: float
    events: int


def window(rules: Capture) -> int:
    """For how many periods a departure is watched."""
    return max(1, rules.non_return.window_days * DAY // PERIOD)


def statistics(
    record: FunderRecord, others: Mapping[str, LifeTable], funder: Funder, rules: Capture, now: int
) -> Iterator[Statistic]:
    """Every statistic of the funder of which there is enough to compare with: `others` are pooled life tables."""
    for after, kinds in AFTER.items():
        away: dict[str, list[Judged]] = {
            grade: [each for kind in kinds for each in staying(record, others, grade, kind, rules, now)]
            for grade in funder.grades
        }
        yield from _largest("non_return", after, away, record.alarms)
    ratio = rules.early_settlement.odds_ratio
    early: dict[str, list[Judged]] = {
        grade: list(_rare(record, others, key_of(grade, "early"), ratio, rules, now)) for grade in funder.grades
    }
    yield from _largest("early_settlement", "", early, record.alarms)
    reports = list(_rare(record, others, key_of(EVERYBODY, "report"), REPORT_RATIO, rules, now))
    yield from _largest("borrower_report", "", {EVERYBODY: reports}, record.alarms)


def threshold(run_days: float) -> float:
    """What a statistic must reach to make a false alarm in `run_days`: there is one beginning each period."""
    return math.log(run_days * DAY / PERIOD)


def lost_log_ratio(away: int, departed: int, usual: float, lost: float) -> float:
    """For `away` of `departed` where `usual` is: the log likelihood that a share `lost` never returns, against none."""
    return (departed - away) * math.log1p(-lost) + away * math.log((lost + (1 - lost) * usual) / usual)


def lost_share(usual: float, hazard_ratio: float) -> float:
    """The share that is lost where `hazard_ratio` times as many stay away as is `usual` at the end of the window."""
    return min(_MOST_LOST, max(_LEAST_LOST, (hazard_ratio - 1) * usual / max(1e-9, 1 - usual)))


def staying(
    record: FunderRecord, others: Mapping[str, LifeTable], grade: str, kind: Kind, rules: Capture, now: int
) -> Iterator[Judged]:
    """Each cohort of the funder, by who stays away after a departure of this kind."""
    key = key_of(grade, kind)
    table = others.get(key)
    if table is None:
        return
    usual = staying_away(table, 1.0)
    periods = horizon(table, rules.pass_rate.min_events)
    lost = lost_share(usual[periods], rules.non_return.hazard_ratio)
    cohorts = record.cohorts.get(key, {})
    known = known_by(table, cohorts)
    for number, cohort, watched_for in watched(cohorts, periods, now):
        away = max(0, cohort.departed - sum(cohort.back[:watched_for]))
        share = usual[watched_for]
        yield Judged(number, away, cohort.departed, share, known * lost_log_ratio(away, cohort.departed, share, lost))


def _rare(
    record: FunderRecord, others: Mapping[str, LifeTable], key: str, ratio: float, rules: Capture, now: int
) -> Iterator[Judged]:
    table = others.get(key)
    if table is None:
        return
    periods = horizon(table, rules.pass_rate.min_events)
    usual = [min(0.9, 1 - share + 1 / max(1, table.away[0])) for share in staying_away(table, -1.0)]
    cohorts = record.cohorts.get(key, {})
    known = known_by(table, cohorts)
    for number, cohort, watched_for in watched(cohorts, periods, now):
        happened = min(cohort.departed, sum(cohort.back[:watched_for]))
        share = usual[watched_for]
        times = min(ratio, 0.95 / share)
        rest = (cohort.departed - happened) * math.log((1 - times * share) / (1 - share))
        yield Judged(number, happened, cohort.departed, share, known * (happened * math.log(times) + rest))


def _largest(
    detector: Detector, of: str, judged: Mapping[str, list[Judged]], alarmed: Mapping[str, int]
) -> Iterator[Statistic]:
    """One statistic over all borrowers, and one for each grade when there are several."""
    everybody = [each for cohorts in judged.values() for each in cohorts]
    segments = {EVERYBODY: everybody} | ({f"grade {g}": each for g, each in judged.items()} if len(judged) > 1 else {})
    for name, cohorts in segments.items():
        segment = f"{name} {of}".strip()
        yield from _scan(detector, segment, cohorts, alarmed.get(detector, -1))


def _scan(detector: Detector, segment: str, judged: Iterable[Judged], after: int) -> Iterator[Statistic]:
    newest_first = sorted((each for each in judged if each.period > after), key=lambda each: -each.period)
    best: Statistic | None = None
    value, observed, expected, events = 0.0, 0, 0.0, 0
    for number, cohorts in groupby(newest_first, key=lambda each: each.period):
        for cohort in cohorts:
            value += cohort.log_ratio
            observed += cohort.observed
            expected += cohort.departed * cohort.usual
            events += cohort.departed
        if best is None or value > best.value:
            best = Statistic(detector, segment, value, number * PERIOD, observed, expected, events)
    if best is not None:
        yield best
