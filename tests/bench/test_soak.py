"""What a soak tells is what was seen: delays whichever end is known first, what stays without answer, and the rest."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.machine import Machine
from bench.soak import Watch
from bench.soaked import Soak, draw, markdown


def test_delays_are_found_whichever_end_is_known_first() -> None:
    """One decision is read before the broker's answer to its request came.

    Of the others one request is not decided, one twice, and one after a hold, which is no second time.
    """

    async def watched() -> Watch:
        watch = Watch()
        sent = [asyncio.get_running_loop().create_future() for _ in range(4)]
        for each in sent:
            watch.ask(each)
        watch.decided(1, 1_030, held=False)
        for each, at in zip(sent, (500, 1_000, 2_000, 3_000), strict=True):
            each.set_result(SimpleNamespace(timestamp=at))
        await asyncio.sleep(0)
        watch.decided(0, 510, held=False)
        watch.decided(0, 900, held=False)
        watch.decided(3, 3_020, held=True)
        watch.decided(3, 9_000, held=False)
        return watch

    watch = asyncio.run(watched())
    seen = watch.slice(60.0, 3, 10**8, 6.0)
    assert (watch.undecided, watch.doubled) == (1, 1)
    assert (seen.decisions, seen.p50, seen.longest) == (5, 20, 30)
    assert watch.slice(120.0, 3, 10**8, 6.0).decisions == 0


@pytest.mark.parametrize("slices", [1, 12, 60])
def test_the_table_covers_the_whole_run(slices: int, tmp_path: Path) -> None:
    """However many slices there are, at most 12 rows, the last of which ends with the run; and a plot."""
    watch = Watch()
    seen = [watch.slice(60.0 * (number + 1), 120_000, 10**8, 30.0) for number in range(slices)]
    soak = Soak(Machine(2, "a processor", "3.11", 0.5, "2026-11-26"), 2000, float(slices), 1, 0, 0, seen)
    rows = [line for line in markdown(soak, "soak.svg").splitlines() if line.startswith("| ")][1:]
    assert 1 <= len(rows) <= 12
    assert rows[-1].startswith(f"| {slices:.1f} | 2,000 |")
    draw(seen, tmp_path / "soak.svg")
    assert (tmp_path / "soak.svg").stat().st_size > 1000
