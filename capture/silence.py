"""Detectors that have too few events to say anything, and how many they need: silence is not innocence."""

from collections.abc import Iterator, Mapping

from capture import canaries, cusum
from capture.cohorts import EVERYBODY, LifeTable, key_of
from capture.departures import AFTER
from capture.estimate import SEEN
from capture.learn import REPORTS
from capture.record import FunderRecord, Reference
from config.rotation import Capture, CaptureCanary, Funder
from rotation.outputs import SilentDetector


def silent(
    record: FunderRecord, others: Mapping[str, LifeTable], funder: Funder, rules: Capture
) -> list[SilentDetector]:
    """What cannot alarm over the funder yet. `others` are the pooled life tables of the funders to compare with."""
    return [each for each in _counted(record, others, funder, rules) if each.events < each.needed]


def _counted(
    record: FunderRecord, others: Mapping[str, LifeTable], funder: Funder, rules: Capture
) -> Iterator[SilentDetector]:
    needed = rules.pass_rate.min_events
    for grade in funder.grades:
        answered = record.references.get(grade, Reference()).answered
        yield SilentDetector("pass_rate", cusum.segment_of(grade), answered, needed)
    for after, kinds in AFTER.items():
        for grade in funder.grades:
            compared = max(_elsewhere(others, key_of(grade, kind)) for kind in kinds)
            yield SilentDetector("non_return", f"{cusum.segment_of(grade)} {after}", compared, needed)
    for grade in funder.grades:
        early = _elsewhere(others, key_of(grade, "early"))
        yield SilentDetector("early_settlement", cusum.segment_of(grade), early, needed)
    yield SilentDetector("borrower_report", EVERYBODY, _elsewhere(others, REPORTS), needed)
    any_of = max(_elsewhere(others, key_of(grade, kind)) for grade in funder.grades for kind in SEEN)
    yield SilentDetector("combined", EVERYBODY, any_of, needed)
    seen = sum(canary.seen_at > 0 for canary in record.canaries.values())
    yield SilentDetector("canary", "canaries", seen, _fewest_canaries(rules.canary))


def _elsewhere(others: Mapping[str, LifeTable], key: str) -> int:
    """How many departures at the other funders have been watched for a period at least."""
    table = others.get(key)
    return table.away[0] if table is not None else 0


def _fewest_canaries(rules: CaptureCanary) -> int:
    """With how many canaries, all of them called, there is an alarm."""
    number = 1
    while canaries.p_value(number, number, rules.control_rate) > canaries.level(number, rules.alpha):
        number += 1
    return number
