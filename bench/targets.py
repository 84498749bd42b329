"""What the figures were asked to be when the stream was begun, and what they came to."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from bench.compare import ratios, spread
from bench.results import Compared, Results
from bench.run import Measured
from bench.tables import Table, shown

_RATE = "rate"
_LATE = "late_rate_per_cpu"


class _Target(NamedTuple):
    """A figure. `at_least`: more is better; else less is."""

    what: str
    asked: float
    at_least: bool
    form: str
    reached: Callable[[Results], tuple[float, float, float] | None]


def targets(results: Results) -> Table:
    """Each figure that was asked for and has been measured: medians, and extremes where there are rounds."""
    return Table("Asked and reached", ("figure", "asked", "reached", ""), list(_rows(results)))


def _rows(results: Results) -> Iterator[tuple[str, ...]]:
    for target in _TARGETS:
        if (reached := target.reached(results)) is None:
            continue
        middle = reached[0]
        good = middle >= target.asked if target.at_least else middle <= target.asked
        bound = f"{'≥' if target.at_least else '≤'} {target.asked:{target.form}}"
        yield target.what, bound, shown(reached, target.form), "yes" if good else "**no**"


def _ratio(section: Compared | None, other: str, of: str) -> tuple[float, float, float] | None:
    if section is None or other not in section.titles:
        return None
    return ratios(section.results, section.ours, other, _rate(of))


def _rate(of: str) -> Callable[[Measured], float]:
    return lambda measured: float(getattr(measured, of))


def _of_rule(results: Results) -> tuple[float, float, float] | None:
    if results.job is None or results.rule is None:
        return None
    job, rule = (
        spread([result.rate for result in section.of(section.ours)]) for section in (results.job, results.rule)
    )
    return job.median / rule.median, job.low / rule.high, job.high / rule.low


def _second_worker(results: Results, two: str) -> tuple[float, float, float] | None:
    """Per cent of decisions a CPU-second that `two` workers make fewer than one."""
    if (ratio := _ratio(results.workers, two, "rate_per_cpu")) is None:
        return None
    middle, low, high = (100 * (1 - 1 / times) for times in ratio)
    return middle, low, high


def _delay(results: Results) -> tuple[float, float, float] | None:
    if results.latency is None:
        return None
    ours = results.latency.results[0].engine
    return spread([each.p99 for each in results.latency.results if (each.engine, each.rate) == (ours, 500)])


def _start(results: Results, what: str, bytes_each: bool = False) -> tuple[float, float, float] | None:
    if results.memory is None:
        return None
    (start,) = (start for start in results.memory.starts if start.what == what)
    return spread([results.memory.per_borrower(start) if bytes_each else start.seconds])


def _what_if(results: Results) -> tuple[float, float, float] | None:
    return None if results.what_if is None else spread([results.what_if.seconds])


_TARGETS = (
    _Target("full job, times plain Faust", 10, True, ".1f", lambda r: _ratio(r.job, "plain-faust", _RATE)),
    _Target("keyed rule, of the aiokafka loop", 0.75, True, ".2f", lambda r: _ratio(r.rule, "aiokafka-loop", _RATE)),
    _Target(
        "keyed rule, times Kafka Streams, a CPU-second of the second half",
        1.5,
        True,
        ".2f",
        lambda r: _ratio(r.rule, "kafka-streams", _LATE),
    ),
    _Target("keyed rule, times plain Faust", 30, True, ".0f", lambda r: _ratio(r.rule, "faust", _RATE)),
    _Target("full job, of the keyed rule", 0.35, True, ".2f", _of_rule),
    _Target("p99 of a decision at 500/s, ms", 30, False, ".0f", _delay),
    _Target(
        "second worker, % fewer decisions a CPU-second",
        15,
        False,
        ".0f",
        lambda r: _second_worker(r, "workers-2-no-standby"),
    ),
    _Target(
        "the same, with a copy of each other's tables",
        15,
        False,
        ".0f",
        lambda r: _second_worker(r, "workers-2"),
    ),
    _Target("memory of a borrower, bytes", 700, False, ".0f", lambda r: _start(r, "changelog", bytes_each=True)),
    _Target("1,000,000 borrowers from the local store, s", 20, False, ".1f", lambda r: _start(r, "data folder kept")),
    _Target("1,000,000 borrowers from the changelog, s", 90, False, ".1f", lambda r: _start(r, "changelog")),
    _Target("what-if of 1,000,000 drawdowns, s", 120, False, ".0f", _what_if),
)
