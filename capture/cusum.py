"""Detector of a fallen pass rate: a risk-adjusted Bernoulli CUSUM on refusals and walk-aways at the drawdown.

Each answer is weighed by what was to be expected of its risk grade, against odds that are `odds_ratio` times as high
(Steiner, Cook, Farewell & Treasure 2000). What is to be expected is learnt from the first `min_events` answers of the
grade and then frozen, so that a slow change does not become the new normal; before that the detector is silent. A
funder that captured from its first day on is compared with itself here, and found only by other evidence.

False alarms: while nothing changed, a sum of log likelihood ratios reaches h after exp(h) answers on average, or more
(Lorden 1971). So a threshold of ln(days · answers a day) makes one false alarm in so many days, or more. The learnt
rate is taken one standard error too high, since one taken too low would make false alarms.
"""

import math

from capture.cohorts import EVERYBODY
from capture.record import Cusum, FunderRecord, Reference
from config.rotation import CapturePassRate, Funder
from rotation.clock import DAY, HOUR
from rotation.outputs import FunderOutcome


def segments(funder: Funder) -> list[str]:
    """What is watched of a funder: all its answers, and those of each grade."""
    return [EVERYBODY, *(segment_of(grade) for grade in funder.grades)]


def watch(record: FunderRecord, outcome: FunderOutcome, rules: CapturePassRate) -> None:
    """Take in one answer that counts for the pass rate."""
    missed = outcome.status != "disbursed"
    reference = record.references.setdefault(outcome.risk_grade, Reference())
    if not reference.frozen:
        if reference.answered < rules.min_events:
            reference.answered += 1
            reference.missed += missed
            return
        reference.frozen = True
    usual = usual_rate(reference)
    for segment in (EVERYBODY, segment_of(outcome.risk_grade)):
        _add(record.cusums.setdefault(segment, Cusum()), missed, usual, rules.odds_ratio, outcome.occurred_at)


def usual_rate(reference: Reference) -> float:
    """The share of answers that are refusals or walk-aways when all is as usual, one standard error too high.

    From the funder's own answers alone: the configured prior would be held against it for good, right or wrong.
    """
    # Half a miss more, of one answer more (Krichevsky & Trofimov 1981): none, or nothing but misses, is chance too.
    answered = reference.answered + 1
    rate = (reference.missed + 0.5) / answered
    return min(0.999, rate + math.sqrt(rate * (1 - rate) / answered))


def threshold(record: FunderRecord, segment: str, run_days: float, now: int) -> float:
    """What the statistic of a segment must reach to make a false alarm in `run_days`, at its present traffic."""
    return math.log(run_days * max(1.0, _answers_a_day(record, segment, now)))


def _answers_a_day(record: FunderRecord, segment: str, now: int) -> float:
    hours = [hour for grade, told in record.hours.items() if segment in (EVERYBODY, segment_of(grade)) for hour in told]
    if not hours:
        return 0.0
    days = max(1.0, (now - min(hour.hour for hour in hours) * HOUR) / DAY)
    return sum(hour.disbursed + hour.missed for hour in hours) / days


def _add(cusum: Cusum, missed: bool, usual: float, odds_ratio: float, at: int) -> None:
    if cusum.statistic == 0.0:
        cusum.since, cusum.events, cusum.observed, cusum.expected = at, 0, 0, 0.0
    likelihood = (odds_ratio if missed else 1.0) / (1 - usual + odds_ratio * usual)
    cusum.statistic = max(0.0, cusum.statistic + math.log(likelihood))
    cusum.events += 1
    cusum.observed += missed
    cusum.expected += usual


def segment_of(grade: str) -> str:
    """The segment of one grade's answers."""
    return f"grade {grade}"
