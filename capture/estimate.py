"""What all evidence on a funder together says: does it capture, whom, and how many of them at a drawdown?

Long before a single detector may fairly alarm, everything together makes one funder a worse bet than another. A funder
either captures nobody, or it has begun with some cohort to win a share of the borrowers, in one of two ways:

- at the drawdown: that share of all whom it sees is refused or walks away, and is never seen again;
- offline: that share of those who take a loan settles early, within the window, and is never seen again.

It does so in some of the grades. Who stays away is compared with the other funders, how many are turned down with the
funder itself before. More of these alone prove little, since an honest funder may begin to turn more down for reasons
of its own; so that is a hypothesis too. All are weighed by their likelihood against nothing being the matter (Bayes
factors). The share that a hypothesis takes, weighed by how likely it now is, makes the risk. Canaries and reports raise
the risk too, but they are no part of the Bayes factor: they have detectors of their own and may not accuse twice, and
reports could be sent by a rival.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from capture.cohorts import (
    EVERYBODY,
    KEPT,
    PERIOD,
    Cohort,
    LifeTable,
    horizon,
    key_of,
    known_by,
    period,
    staying_away,
    watched,
)
from capture.departures import REFUSED, REPORT_RATIO, staying, window
from capture.hypotheses import CHANGES, WAYS, Floats, weigh_all
from capture.misses import missed_log_ratio
from capture.record import FunderRecord
from config.rotation import Capture, CaptureCombined, Funder
from rotation.clock import DAY
from rotation.outputs import Departure

#: What is seen of a departure, by how a way of capture appears.
APPEARS_AS: dict[Departure, tuple[Departure, ...]] = {
    "refusal": REFUSED,
    "walk_away": ("walk_away",),
    "loan": ("loan",),
}
SEEN = tuple(kind for kinds in APPEARS_AS.values() for kind in kinds)
#: How likely a funder that captures is to call a canary: Beta(1, 4).
_CALLS, _CALLS_NOT = 1.0, 4.0
_SAFE = 1e-6


class Belief(NamedTuple):
    """What all evidence together says.

    `log_ratio` is the log Bayes factor, canaries and reports apart, of a funder that captures against an honest one;
    `risk` is, for each grade, the share of borrowers that it is expected to capture at a drawdown, 0 to 1. Of
    `departed` borrowers `away` did not come back, where `usual` were to be expected, since the oldest cohort, that
    began at `since` (ms).
    """

    log_ratio: float
    risk: dict[str, float]
    away: int
    usual: float
    departed: int
    since: int


class _Grade(NamedTuple):
    """A grade's log likelihood ratios by way and beginning, newest first, and what share of it each way takes."""

    captures: Floats
    changes: Floats
    takes: Floats


def sure(run_days: float, rules: CaptureCombined) -> float:
    """The log Bayes factor at which capture is likely enough to act on, with one false alarm in `run_days` at most.

    The Bayes factor is a mean over beginnings; their sum reaches A after A periods or later, on average, while nothing
    is lost (Roberts 1966, Pollak 1987).
    """
    return max(_log_odds(rules.sure) - _log_odds(rules.captures), math.log(run_days * DAY / PERIOD / KEPT))


def weigh(record: FunderRecord, others: Mapping[str, LifeTable], funder: Funder, rules: Capture, now: int) -> Belief:
    """Weigh all evidence on the funder at `now` (ms). `others` are the pooled life tables to compare with."""
    chance, best_first = rules.combined, list[str](sorted(funder.grades))
    keys = [key_of(grade, kind) for grade in best_first for kind in SEEN]
    begins = sorted({n for key in keys for n in record.cohorts.get(key, {}) if n < period(now)}, reverse=True)
    log_ratio, shares = 0.0, np.zeros(len(best_first))
    if begins:
        grades = [_grade(record, others, grade, begins, rules, now) for grade in best_first]
        captures, shares = weigh_all(np.stack([g.captures for g in grades]), np.stack([g.takes for g in grades]))
        changes, _ = weigh_all(np.stack([g.changes for g in grades]), np.zeros((len(grades), len(CHANGES))))
        log_ratio = captures - float(np.logaddexp(math.log(1 - chance.changes), math.log(chance.changes) + changes))
    besides = _canaries(record, rules, now) + _reports(record, others)
    captor = _chance(_log_odds(chance.captures) + log_ratio + besides)
    risk = {grade: round(captor * float(share), 6) for grade, share in zip(best_first, shares, strict=True)}
    return Belief(log_ratio, risk, *_observed(record, others, funder, rules, now))


def _grade(
    record: FunderRecord,
    others: Mapping[str, LifeTable],
    grade: str,
    begins: Sequence[int],
    rules: Capture,
    now: int,
) -> _Grade:
    answers = {kind: _by_begin(record, grade, kinds, begins) for kind, kinds in APPEARS_AS.items()}
    answered = sum(answers.values(), np.zeros(len(begins)))
    parts = {kind: float(by_begin.sum() / max(1.0, answered.sum())) for kind, by_begin in answers.items()}
    settled = _settled_early(record, others, grade, rules, now)
    captures, changes = np.zeros((len(WAYS), len(begins))), np.zeros((len(CHANGES), len(begins)))
    for kind, kinds in APPEARS_AS.items():
        taken = np.array([way.share * way.appears.get(kind, 0.0) for way in WAYS])
        # Who is captured at the drawdown is turned down besides those who would be anyway.
        lost = taken if kind == "loan" else taken / (taken + max(_SAFE, parts[kind]))
        for number, cohort, periods, usual, known in _cohorts(record, others, grade, kinds, rules, now):
            away = max(0, cohort.departed - sum(cohort.back[:periods]))
            # For each way as in `departures.lost_log_ratio`.
            ratio = (cohort.departed - away) * np.log1p(-lost) + away * np.log((lost + (1 - lost) * usual) / usual)
            if kind == "loan" and number in settled:
                ratio += _early_log_ratio(*settled[number], lost)
            captures[:, begins.index(number)] += known * ratio
    captures = np.cumsum(captures, axis=1)
    for kind in ("refusal", "walk_away"):
        captures += missed_log_ratio(answers[kind], answered, kind, WAYS)
        changes += missed_log_ratio(answers[kind], answered, kind, CHANGES)
    takes = np.array([way.share * (parts["loan"] if "loan" in way.appears else 1.0) for way in WAYS])
    return _Grade(captures, changes, takes)


def _by_begin(record: FunderRecord, grade: str, kinds: Sequence[Departure], begins: Sequence[int]) -> Floats:
    every = [record.cohorts.get(key_of(grade, kind), {}) for kind in kinds]
    return np.array([float(sum(of[number].departed for of in every if number in of)) for number in begins])


def _cohorts(
    record: FunderRecord,
    others: Mapping[str, LifeTable],
    grade: str,
    kinds: Sequence[Departure],
    rules: Capture,
    now: int,
) -> Iterator[tuple[int, Cohort, int, float, float]]:
    """Each cohort: its number, how many periods it has been watched, the usual share away then, and how well known."""
    for key in (key_of(grade, kind) for kind in kinds):
        table = others.get(key)
        if table is None:
            continue
        usual = [max(_SAFE, share) for share in staying_away(table, 0.0)]
        periods, own = horizon(table, rules.pass_rate.min_events), record.cohorts.get(key, {})
        for number, cohort, age in watched(own, periods, now):
            yield number, cohort, age, usual[age], known_by(table, own)


def _settled_early(
    record: FunderRecord, others: Mapping[str, LifeTable], grade: str, rules: Capture, now: int
) -> dict[int, tuple[int, int, float, float]]:
    """By cohort: loans settled early, loans, the usual chance of it, and the part of the window that has been
    watched."""
    key, periods = key_of(grade, "early"), window(rules)
    table = others.get(key)
    if table is None:
        return {}
    known = horizon(table, rules.pass_rate.min_events)
    usual = [min(0.9, max(1 / max(1, table.away[0]), 1 - share)) for share in staying_away(table, 0.0)]
    return {
        number: (min(cohort.departed, sum(cohort.back[:age])), cohort.departed, usual[age], age / periods)
        for number, cohort, age in watched(record.cohorts.get(key, {}), known, now)
    }


def _early_log_ratio(early: int, loans: int, usual: float, reach: float, lost: Floats) -> Floats:
    """Whoever is won over offline settles within the window, at any time of it alike."""
    more = usual + lost * reach * (1 - usual)
    told: Floats = early * np.log(more / usual) + (loans - early) * np.log((1 - more) / (1 - usual))
    return told


def _canaries(record: FunderRecord, rules: Capture, now: int) -> float:
    """The log Bayes factor of the calls to canaries of late: beta-binomial against binomial."""
    late = now - KEPT * PERIOD
    canaries = [each for each in record.canaries.values() if each.seen_at and max(each.seen_at, each.called_at) > late]
    seen, called = len(canaries), sum(canary.tells for canary in canaries)
    control = rules.canary.control_rate
    captor = _log_beta(_CALLS + called, _CALLS_NOT + seen - called) - _log_beta(_CALLS, _CALLS_NOT)
    return captor - called * math.log(control) - (seen - called) * math.log(1 - control)


def _reports(record: FunderRecord, others: Mapping[str, LifeTable]) -> float:
    """The log Bayes factor of the reports: so many times as often as elsewhere, against as often."""
    key = key_of(EVERYBODY, "report")
    table, cohorts = others.get(key), record.cohorts.get(key, {}).values()
    if table is None or not table.away[0]:
        return 0.0
    usual = (sum(table.back) + 1) / table.away[0]
    reports, answers = sum(sum(cohort.back) for cohort in cohorts), sum(cohort.departed for cohort in cohorts)
    return reports * math.log(REPORT_RATIO) - (REPORT_RATIO - 1) * usual * answers


def _observed(
    record: FunderRecord, others: Mapping[str, LifeTable], funder: Funder, rules: Capture, now: int
) -> tuple[int, float, int, int]:
    judged = [
        each for grade in funder.grades for kind in SEEN for each in staying(record, others, grade, kind, rules, now)
    ]
    return (
        sum(each.observed for each in judged),
        math.fsum(each.departed * each.usual for each in judged),
        sum(each.departed for each in judged),
        min((each.period * PERIOD for each in judged), default=now),
    )


def _log_odds(chance: float) -> float:
    return math.log(chance / (1 - chance))


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, log_odds))))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
