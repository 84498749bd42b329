"""`docs/performance.md`, from results."""

from collections.abc import Iterator, Sequence
from statistics import median

from bench.machine import Machine
from bench.results import Compared, Results
from bench.run import Measured
from bench.tables import Table, comparison, delays, recovery, replayed
from bench.targets import targets

_BUSY = 1.0

_HEAD = """\
# Performance

Written by `./dev bench report` from [performance.json](performance.json); `./dev bench` measures it again (`./dev
bench --help`). All engines of a table work on one Apache Kafka 4.3.1 and one Redis on one machine, in turn, round
after round. An engine's topics are filled while it is frozen; time runs from its release to the append of its last
decision, CPU is user and system of its processes without the servers'. Figures are medians with the extremes over
the rounds; a ratio is taken within a round. Engines must make the same decisions, byte for byte, or there is no
figure. "Second half" is decisions per CPU-second once half of them are made, past every warm-up.
"""

_JOB = """\
Borrowers with four to seven credit grants each at twelve funders; a grant is renewed for each drawdown request. The
requests are decided by all rules and reserved in Redis, with state, changelog and confirmed decisions. Plain Faust runs
the same core one event at a time, as its documentation shows; it gets fewer borrowers, since it is slow. Outcomes and
repayments are left out: decisions would depend on the order in which an engine takes the topics."""

_RULE = """\
Per request: leave out the borrower's last funder, choose one of the others by a weighted hash, keep the last four
funders with a changelog. This shows what the stream costs, without the job. The loops and `faust-by-hand` write a
changelog, but have no recovery, no rebalance and no retries; our stream writes its outputs into the changelog too,
so that a crash repeats the same bytes."""

_WORKERS = """\
The full job with one, two and four worker processes in one group. Servers and harness take their share of the same
processors, so decisions per CPU-second say what another worker costs. What several workers lose is the price of their
standbys: unless `LOANROUTER_STANDBYS` is 0, each keeps a copy of another's tables, and so fetches and stores what that
one writes. One worker beside a process that only computes shows what sharing the processors costs."""

_LATENCY = """\
Requests come at a steady rate. From the append of a request to that of its decision, both by the broker's clock. An
engine that did not keep up has delays that grow with the length of the run."""

_MEMORY = """\
Borrowers with a ledger of twenty loans. From the start of the process until `/readyz` says ready, with the
changelog to read, and with the data folder of the worker before."""

_WHAT_IF = """\
`loanrouter what-if` on a month's recorded drawdowns at eight funders, with their grants, outcomes and repayments in
eight partitions, of a draft that leaves out one more of a borrower's last funders: nearly every drawdown is decided
twice. In as many processes as there are processors, their memory added up."""

_WHY = """\
A decision of the full job, with a grant, takes {job:.0f} µs of CPU, one of the keyed rule {rule:.0f}: were the stream
free, the full job would still make no more than {most:.2f} of what the rule makes. Its time is the core's: twelve
funders by all rules, the choice, the borrower's record, the reservation, and a decision that names each funder with
its reasons. The core is compiled; the profiles are below."""

_PROFILE = """\
## What they spend their time on

Samples of our process's stacks while it decides (`./dev bench --profile`): where the next gain is. Compiled functions
do not show, their callers do.
"""


def markdown(results: Results) -> str:
    """The whole document."""
    return "\n".join([_HEAD, *_sections(results)])


def _sections(results: Results) -> Iterator[str]:
    yield _table(targets(results))
    if results.job is not None and results.rule is not None:
        job, rule = (_micros(section.of(section.ours)) for section in (results.job, results.rule))
        yield _WHY.format(job=job, rule=rule, most=rule / max(job - rule, rule)) + "\n"
    if results.job is not None or results.rule is not None:
        yield "![Decisions per second and per CPU-second](performance.svg)\n"
    if results.job is not None:
        yield _compared("The full job", _JOB, results.job)
    if results.rule is not None:
        yield _compared("A keyed rule with state", _RULE, results.rule)
    if results.workers is not None:
        yield _compared("Several workers", _WORKERS, results.workers)
    if results.latency is not None:
        yield _section(delays(results.latency), _LATENCY, results.latency.machine)
    if results.memory is not None:
        yield _section(recovery(results.memory), _MEMORY, results.memory.machine)
    if results.what_if is not None:
        yield _section(replayed(results.what_if), _WHAT_IF, results.what_if.machine)
    if results.profile:
        yield _PROFILE
        for title, lines in (("The full job", results.profile), ("The keyed rule", results.rule_profile)):
            yield "\n".join([f"{title}:", "", "```", *lines, "```", ""])


def _compared(title: str, text: str, section: Compared) -> str:
    names = "".join(f"- `{name}`: {words}\n" for name, words in section.titles.items() if name != words)
    return _section(comparison(title, section), text, section.machine) + "\n" + names


def _section(table: Table, text: str, machine: Machine) -> str:
    return f"## {table.title}\n\n{text}\n\n{where(machine)}\n\n" + _table(table)


def _table(table: Table) -> str:
    lines = ["| " + " | ".join(table.head) + " |", "|---" + "|---:" * (len(table.head) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def _micros(results: Sequence[Measured]) -> float:
    """CPU of a decision, millionths of a second: the median."""
    return median(1e6 / result.rate_per_cpu for result in results)


def where(machine: Machine) -> str:
    """In words: when, on what, and whether others were at work."""
    busy = "" if machine.load < _BUSY else f" **The machine was busy with other work (load {machine.load:.0f}).**"
    return f"{machine.measured_on}, {machine.cpus} processors ({machine.processor}), Python {machine.python}.{busy}"
