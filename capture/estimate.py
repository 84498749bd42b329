"""What all evidence on a funder together says: does it capture, whom, and how many of them at a drawdown?

Long before a single detector may fairly alarm, everything together makes one funder a worse bet than another. A funder
either captures nobody, or it has begun with some cohort to win a share of the borrowers, in one of two ways:

- at the drawdown: that share of all whom it sees is refused or walks away, and is never seen again;
- offline: that share of those who take a loan settles early, within the window, and is never seen again.

It does so in some of the grades. All these hypotheses are alike likely beforehand, and are weighed by their likelihood
against nothing being lost (Bayes factors; what is usual comes from the other funders). The share that a hypothesis
takes, weighed by how likely it now is, makes the risk. Canaries and reports raise the risk too, but they are no part of
the Bayes factor: they have detectors of their own and may not accuse twice, and reports could be sent by a rival.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple

from capture.cohorts import EVERYBODY, KEPT, PERIOD, Cohort, LifeTable, horizon, key_of, known_by, staying_away, watched
from capture.departures import REPORT_RATIO, lost_log_ratio, staying, window
from capture.record import FunderRecord
from config.rotation import Capture, Funder
from rotation.clock import DAY
from rotation.outputs import Departure

SEEN: tuple[Departure, ...] = ("refusal", "walk_away", "loan")
#: How likely it is beforehand that a funder captures at all, and then that it captures a given grade.
_CAPTURES, _GRADE_TOO = 0.2, 0.6
#: How likely capture must be before the funder is held to it.
_SURE = 0.9
#: How likely a funder that captures is to call a canary: Beta(1, 4).
_CALLS, _CALLS_NOT = 1.0, 4.0
_SAFE = 1e-6


class Way(NamedTuple):
    """A hypothesis: the `share` of borrowers that is captured, and what part of them appears as each departure."""

    share: float
    appears: dict[Departure, float]


_WAYS = (
    *(
        Way(share, {"refusal": refused, "walk_away": 1 - refused})
        for share in (0.015, 0.03, 0.05, 0.08, 0.12, 0.2)
        for refused in (0.2, 0.5, 0.8)
    ),
    *(Way(share, {"loan": 1.0}) for share in (0.03, 0.05, 0.08, 0.12, 0.2, 0.3)),
)


class Belief(NamedTuple):
    """What all evidence together says.

    `log_ratio` is the log Bayes factor, canaries and reports apart, of a funder that captures against one that does
    not; `risk` is, for each grade, the share of borrowers that it is expected to capture at a drawdown, 0 to 1. Of
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
    """A grade's evidence: of each departure its part of all, and by way the log likelihood ratios by beginning."""

    parts: dict[Departure, float]
    ratios: list[dict[int, float]]


def sure(run_days: float) -> float:
    """The log Bayes factor at which capture is likely enough to act on, with one false alarm in `run_days` at most.

    The Bayes factor is a mean over beginnings; their sum reaches A after A periods or later, on average, while nothing
    is lost (Roberts 1966, Pollak 1987).
    """
    return max(_log_odds(_SURE) - _log_odds(_CAPTURES), math.log(run_days * DAY / PERIOD / KEPT))


def weigh(record: FunderRecord, others: Mapping[str, LifeTable], funder: Funder, rules: Capture, now: int) -> Belief:
    """Weigh all evidence on the funder at `now` (ms). `others` are the pooled life tables to compare with."""
    grades = {grade: _grade(record, others, grade, rules, now) for grade in funder.grades}
    begins = sorted({number for each in grades.values() for of_way in each.ratios for number in of_way})
    logs: list[float] = []
    shares: dict[str, list[float]] = {grade: [] for grade in grades}
    for index, way in enumerate(_WAYS):
        for begin in begins:
            total = 0.0
            for grade, each in grades.items():
                ratio = each.ratios[index].get(begin, 0.0)
                mixed = _log_add(math.log(1 - _GRADE_TOO), math.log(_GRADE_TOO) + ratio)
                total += mixed
                part = each.parts["loan"] if "loan" in way.appears else 1.0
                shares[grade].append(way.share * part * math.exp(math.log(_GRADE_TOO) + ratio - mixed))
            logs.append(total)
    top = max(logs, default=0.0)
    weights = [math.exp(each - top) for each in logs]
    mass = math.fsum(weights)
    log_ratio = top + math.log(mass / len(logs)) if logs else 0.0
    captures = _chance(_log_odds(_CAPTURES) + log_ratio + _canaries(record, rules, now) + _reports(record, others))
    risk = {
        grade: round(captures * math.fsum(w * s for w, s in zip(weights, of, strict=True)) / mass, 6) if of else 0.0
        for grade, of in shares.items()
    }
    return Belief(log_ratio, risk, *_observed(record, others, funder, rules, now))


def _grade(record: FunderRecord, others: Mapping[str, LifeTable], grade: str, rules: Capture, now: int) -> _Grade:
    numbers = {kind: _departed(record, key_of(grade, kind)) for kind in SEEN}
    everybody = max(1, sum(numbers.values()))
    parts = {kind: number / everybody for kind, number in numbers.items()}
    cohorts = {kind: list(_cohorts(record, others, grade, kind, rules, now)) for kind in SEEN}
    settled = _settled_early(record, others, grade, rules, now)
    ratios: list[dict[int, float]] = []
    for way in _WAYS:
        told: dict[int, float] = {}
        for kind, appears in way.appears.items():
            of_all = 1.0 if kind == "loan" else parts[kind]
            lost = min(0.9, way.share * appears / max(_SAFE, of_all))
            for number, cohort, periods, usual, known in cohorts[kind]:
                away = max(0, cohort.departed - sum(cohort.back[:periods]))
                ratio = known * lost_log_ratio(away, cohort.departed, usual, lost)
                if kind == "loan" and number in settled:
                    ratio += known * _early_log_ratio(*settled[number], lost)
                told[number] = told.get(number, 0.0) + ratio
        newest_first = sorted(told, reverse=True)
        ratios.append(dict(zip(newest_first, accumulate(told[number] for number in newest_first), strict=True)))
    return _Grade(parts, ratios)


def _cohorts(
    record: FunderRecord, others: Mapping[str, LifeTable], grade: str, kind: Departure, rules: Capture, now: int
) -> Iterator[tuple[int, Cohort, int, float, float]]:
    """Each cohort: its number, how many periods it has been watched, the usual share away then, and how well known."""
    table = others.get(key_of(grade, kind))
    if table is not None:
        usual = [max(_SAFE, share) for share in staying_away(table, 0.0)]
        periods, own = horizon(table, rules.pass_rate.min_events), record.cohorts.get(key_of(grade, kind), {})
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


def _early_log_ratio(early: int, loans: int, usual: float, reach: float, lost: float) -> float:
    """Whoever is won over offline settles within the window, at any time of it alike."""
    more = usual + lost * reach * (1 - usual)
    return early * math.log(more / usual) + (loans - early) * math.log((1 - more) / (1 - usual))


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


def _departed(record: FunderRecord, key: str) -> int:
    return sum(cohort.departed for cohort in record.cohorts.get(key, {}).values())


def _log_odds(chance: float) -> float:
    return math.log(chance / (1 - chance))


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, log_odds))))


def _log_add(one: float, other: float) -> float:
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
