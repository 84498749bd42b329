"""Plays faults in one scene, and sums up."""

from collections.abc import Sequence
from pathlib import Path

from bench.machine import Machine
from market.audit import Report
from tests.brokers import ApacheCluster, ApacheKafka
from tests.faults.faults import FAULTS
from tests.faults.results import DOUBLED, LOST, OVERRUN, Result
from tests.faults.scene import Checked, Unexpected, check, scene


def play(
    names: Sequence[str],
    kafka: ApacheKafka | ApacheCluster,
    folder: Path,
    seed: int,
    rounds: int | None,
    machine: Machine,
) -> Result:
    """Do these faults to one scene, one after the other, each `rounds` times or as often as it says."""
    times = sum(rounds or FAULTS[name].times for name in names)
    fault = "+".join(names)
    try:
        with scene(kafka, folder, seed) as found:
            for name in names:
                for _ in range(rounds or FAULTS[name].times):
                    FAULTS[name].play(found)
            checked = check(found)
    except (Unexpected, AssertionError) as error:  # what tests' helpers find wrong, they assert
        return Result(fault, seed, times, machine, problems=[str(error)])
    report = checked.report
    return Result(
        fault=fault,
        seed=seed,
        times=times,
        machine=machine,
        held=max(struck.held for struck in found.struck),
        recovery=max(struck.recovery for struck in found.struck),
        restarts=found.restarts,
        events=checked.published,
        drawdowns=report.drawdowns,
        dead_letters=report.dead_letters_seen.total(),
        lost=report.count(*LOST) + report.still_held,
        doubled=report.count(*DOUBLED),
        overrun=report.count(*OVERRUN),
        replayed=checked.replayed,
        problems=list(_problems(report, checked)),
    )


def _problems(report: Report, checked: Checked) -> list[str]:
    found = [f"{each.kind} {each.where}: {each.detail}" for each in report.violations[:5]]
    if report.inputs != checked.published:
        found.append(f"{checked.published} records were published, {report.inputs} are in the topics")
    if report.dead_letters_seen != report.dead_letters_expected:
        found.append(f"dead letters: {report.dead_letters_seen} instead of {report.dead_letters_expected}")
    if checked.differing:
        found.append(f"{checked.differing} decisions are replayed differently")
    return found
