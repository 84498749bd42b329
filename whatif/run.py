"""All partitions of an archive replayed side by side, in as many processes as there are processors.

Quotas and guarantees are shared between partitions. So partitions go on in step, five minutes of stream time at a time,
and after each step every partition is told what the others reserved and lent in it: within a step a partition knows
only its own. A quota may so be overrun in a replay by what other partitions take of it within one step, which the
report shows; it can not be by a worker. What comes out does not depend on the number of processes.
"""

import gc
import multiprocessing as mp
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from config.rotation import Revision
from rotation.clock import MINUTE
from streams.archive import Summary, read_summary
from whatif.book import Account, Amounts, plus
from whatif.estimate import Samples
from whatif.history import History, read_shared
from whatif.lane import Lane, Outcome
from whatif.recorded import Records

STEP = 5 * MINUTE
#: Fewer drawdowns are done before another process has started.
_WORTH_A_PROCESS = 20_000

Changes = Mapping[int, Amounts]
"""What changed in the books, by partition."""


class State(NamedTuple):
    """Where some lanes stand: the time of what comes next, how many requests are done, what changed in their books."""

    next_time: int | None
    requests: int
    changes: Changes


class Lanes(Protocol):
    """Some of the partitions."""

    def send(self, until: int, changes: Changes) -> None:
        """Tell what changed everywhere, and go on to `until` (ms)."""

    def state(self) -> State:
        """Where they stand after that."""

    def close(self) -> dict[int, Outcome]:
        """What each came to, by partition."""


def what_if(
    folder: Path,
    draft: Revision,
    advance: Callable[[int], None] = lambda _: None,
    processes: int | None = None,
    since: int = 0,
) -> Outcome:
    """Replay an archive as it was and as the draft would have it; `advance` is told how many drawdowns are done.

    Drawdowns requested before `since` (ms) are replayed, and not counted.

    Raises:
        streams.archive.ArchiveError: the archive is not whole.
        ValueError: it holds no drawdown, no configuration, or a decision that no worker wrote.
    """
    summary = read_summary(folder)
    partitions = sorted(summary.records.get("drawdown-requests", {}))
    if not partitions:
        raise ValueError("it holds no drawdown")
    most = min(len(partitions), processes or os.cpu_count() or 1)
    if processes is None and summary.of("drawdown-requests") < _WORTH_A_PROCESS:
        most = 1
    with ExitStack() as stack:
        groups: list[Lanes] = (
            [_Here(folder, draft, summary, partitions, since)]
            if most <= 1
            else [stack.enter_context(_elsewhere(folder, draft, partitions[n::most], since)) for n in range(most)]
        )
        _in_step(groups, advance)
        outcomes = [outcome for group in groups for outcome in group.close().items()]
        # Always in one order: sums of fractions depend on it.
        return together([outcome for _, outcome in sorted(outcomes, key=lambda each: each[0])])


def _in_step(groups: Sequence[Lanes], advance: Callable[[int], None]) -> None:
    done = 0
    while True:
        states = [group.state() for group in groups]
        now = sum(state.requests for state in states)
        advance(now - done)
        done = now
        times = [state.next_time for state in states if state.next_time is not None]
        if not times:
            return
        until = (min(times) // STEP + 1) * STEP
        changes = {partition: each for state in states for partition, each in state.changes.items()}
        for group in groups:
            group.send(until, changes)


def together(outcomes: Iterable[Outcome]) -> Outcome:
    """Several partitions as one; there is at least one."""
    first, *rest = outcomes
    for each in rest:
        first.before.add(each.before)
        first.after.add(each.after)
        first.in_flight += each.in_flight
        first.answers += each.answers
        first.guessed += each.guessed
        first.older += each.older
    columns = zip(first.samples, *(each.samples for each in rest), strict=True)
    first.samples = Samples(*(np.concatenate(column) for column in columns))
    return first


class _Here:
    """Lanes of this process."""

    def __init__(self, folder: Path, draft: Revision, summary: Summary, partitions: Sequence[int], since: int) -> None:
        history = History(read_shared(folder, summary), draft, since)
        self._lanes = {
            partition: Lane(Records(folder, summary, partition, history), history) for partition in partitions
        }

    def send(self, until: int, changes: Changes) -> None:
        everywhere: dict[Account, tuple[int, int]] = {}
        for moved in changes.values():
            _add(everywhere, moved)
        for partition, lane in self._lanes.items():
            others = dict(everywhere)
            _add(others, {account: (-a, -n) for account, (a, n) in changes.get(partition, {}).items()})
            lane.book.tell(others)
            lane.advance(until)

    def state(self) -> State:
        times = [lane.next_time for lane in self._lanes.values() if lane.next_time is not None]
        return State(
            min(times, default=None),
            sum(lane.requests for lane in self._lanes.values()),
            {partition: lane.book.moved() for partition, lane in self._lanes.items()},
        )

    def close(self) -> dict[int, Outcome]:
        return {partition: lane.close() for partition, lane in self._lanes.items()}


def _add(sums: dict[Account, tuple[int, int]], more: Amounts) -> None:
    for account, change in more.items():
        sums[account] = plus(sums.get(account, (0, 0)), change)


class _Elsewhere:
    """Lanes of another process, at the other end of a pipe. What it raises is raised here."""

    def __init__(self, pipe: "Connection") -> None:
        self._pipe = pipe

    def send(self, until: int, changes: Changes) -> None:
        self._pipe.send((until, changes))

    def state(self) -> State:
        state: State = self._receive()
        return state

    def close(self) -> dict[int, Outcome]:
        self._pipe.send(None)
        outcomes: dict[int, Outcome] = self._receive()
        return outcomes

    def _receive(self) -> Any:
        try:
            received = self._pipe.recv()
        except EOFError:
            raise RuntimeError("a process of the replay ended without a word: was there enough memory?") from None
        if isinstance(received, Exception):
            raise received
        return received


@contextmanager
def _elsewhere(folder: Path, draft: Revision, partitions: Sequence[int], since: int) -> Iterator[_Elsewhere]:
    context = mp.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, folder, draft, partitions, since), daemon=True)
    process.start()
    there.close()
    try:
        yield _Elsewhere(here)
    finally:
        here.close()
        process.join(timeout=5)
        if process.is_alive():
            process.terminate()


def _serve(pipe: "Connection", folder: Path, draft: Revision, partitions: Sequence[int], since: int) -> None:
    # Millions of records that stay and refer to nothing in a circle: to search them for circles takes a good part of
    # the time, and this process ends with its work.
    gc.disable()
    try:
        lanes = _Here(folder, draft, read_summary(folder), partitions, since)
        pipe.send(lanes.state())
        while (asked := pipe.recv()) is not None:
            lanes.send(*asked)
            pipe.send(lanes.state())
        pipe.send(lanes.close())
        os._exit(0)  # to free those records one by one takes seconds
    except EOFError:
        pass  # nobody waits for it any more
    except Exception as error:
        pipe.send(error)
