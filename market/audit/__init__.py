"""An honest check of a run from outside: takes what was read from the topics, reports what broke the contract.

Written from the contract with its own arithmetic, apart from `rotation/`. A reader does not know in which order workers
handled records of different topics, so a decision is wrong only when no order explains it; how far topics and
partitions may lag behind each other is an argument, and the smaller the stricter.
"""

from collections.abc import Iterable, Sequence

from config.rotation import Revision
from market.audit.checks import Checks
from market.audit.history import History
from market.audit.letters import check_dead_letters
from market.audit.log import Record
from market.audit.report import KINDS, Report, Violation
from market.audit.room import Rooms


def audit(
    records: Iterable[Record],
    revisions: Sequence[Revision],
    *,
    ended_at: int,
    prefix: str = "",
    slack_ms: int = 5000,
    skew_ms: int = 1000,
    crashed: bool = False,
) -> Report:
    """Judge a run by all its records, inputs and outputs.

    `ended_at` (ms) is the stream time that every partition had reached at the end; `slack_ms` how far a worker may have
    been behind on one topic of a borrower while it handled another; `skew_ms` how far partitions' stream times may lie
    apart at one moment; `crashed` says that a worker was killed or moved, so outputs may have come out again.
    """
    report = Report()
    history = History(records, revisions, prefix, report)
    rooms = Rooms(history, skew_ms=skew_ms)
    rooms.check()
    checks = Checks(history, rooms, ended_at=ended_at, slack_ms=slack_ms, crashed=crashed)
    for drawdown in history.drawdowns.values():
        checks.drawdown(drawdown)
    check_dead_letters(history, crashed=crashed)
    report.inputs = len(history.inputs)
    return report


__all__ = ["KINDS", "Record", "Report", "Violation", "audit"]
