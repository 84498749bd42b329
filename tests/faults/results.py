"""The results of the fault suite: kept as one JSON document, shown as `docs/reliability.md`."""

from pathlib import Path

import msgspec

from bench.machine import Machine
from tests.faults.faults import FAULTS, LEDGER

LOST = ("unaccounted", "missed_wakeup", "repeat_missing", "dead_letter_missing", "trace_lost")
DOUBLED = ("two_funders", "two_terminals", "held_twice", "repeat_differs", "dead_letter_twice")
OVERRUN = ("quota_overrun", "guarantee_overrun")


class Result(msgspec.Struct, frozen=True):
    """What came of one fault. Seconds are those of its worst blow: `held` of its cause, `recovery` after it.

    `problems` holds what was wrong beside the counts, empty when all was as expected.
    """

    fault: str
    seed: int
    times: int
    machine: Machine
    held: float = 0.0
    recovery: float = 0.0
    restarts: int = 0
    events: int = 0
    drawdowns: int = 0
    dead_letters: int = 0
    lost: int = 0
    doubled: int = 0
    overrun: int = 0
    replayed: int = 0
    problems: list[str] = []

    @property
    def passed(self) -> bool:
        """All was as expected."""
        return not (self.lost or self.doubled or self.overrun or self.problems)


def read(path: Path) -> dict[str, Result]:
    """What a file holds, by fault; nothing when there is none."""
    return msgspec.json.decode(path.read_bytes(), type=dict[str, Result]) if path.exists() else {}


def encode(results: dict[str, Result]) -> str:
    """As text, indented, in the order of the table of faults."""
    ordered = {name: results[name] for name in FAULTS if name in results}
    return msgspec.json.format(msgspec.json.encode(ordered), indent=1).decode() + "\n"


HEAD = ("fault", "times", "held, s", "recovery, s", "restarts", "events", "lost", "doubled", "overrun", "")


def row(result: Result) -> list[str]:
    """One line of the table."""
    return [
        result.fault,
        str(result.times),
        f"{result.held:.1f}",
        f"{result.recovery:.1f}",
        str(result.restarts),
        f"{result.events:,}",
        str(result.lost),
        str(result.doubled),
        str(result.overrun),
        "passed" if result.passed else "**failed**",
    ]


_TEXT = """\
# Reliability

Written by `./dev faults` from [reliability.json](reliability.json), which it keeps; it plays all faults, or those it is
told (`./dev faults --help`). Two workers serve a simulated market on Apache Kafka 4.3.1 and Redis, all on one machine;
while borrowers ask, the fault is done to them, as often as the table says. In the end the ledger must balance:
{ledger}. Whoever crashes in it is started again, as by Kubernetes.

*Held* is how long the cause of the fault held at most, *recovery* how long after its end a drawdown still waited for
more than 2 s, *restarts* how many workers crashed by themselves, *events* what publishers published meanwhile. *Lost*
counts drawdowns, repeats and bad records without their answer, *doubled* those with two different ones or one too many,
*overrun* decisions over a quota or a guarantee ratio.
"""


def markdown(results: dict[str, Result]) -> str:
    """The whole document."""
    found = [results[name] for name in FAULTS if name in results]
    lines = ["| " + " | ".join(HEAD) + " |", "|---" + "|---:" * (len(HEAD) - 2) + "|---|"]
    lines += ["| " + " | ".join(row(result)) + " |" for result in found]
    parts = [_TEXT.format(ledger=LEDGER), "\n".join(lines), ""]
    parts += [f"{result.fault}: {problem}\n" for result in found for problem in result.problems]
    missing = [name for name in FAULTS if name not in results]
    if missing:
        parts.append(f"Not played: {', '.join(missing)}.\n")
    parts += [_where(found), "## The faults\n", "| fault | what is done | expected |", "|---|---|---|"]
    parts += [f"| {name} | {fault.done} | {fault.expected} |" for name, fault in FAULTS.items()]
    return "\n".join(parts) + "\n"


def _where(results: list[Result]) -> str:
    machines = {(r.machine.measured_on, r.machine.cpus, r.machine.processor) for r in results}
    return "".join(f"Played on {on}, {cpus} processors ({processor}).\n" for on, cpus, processor in sorted(machines))
