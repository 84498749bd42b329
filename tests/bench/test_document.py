"""What is written of performance is what was measured, whether it is what was hoped for or not."""

from pathlib import Path

import msgspec

from bench import results
from bench.document import markdown
from bench.targets import targets

DOCS = Path(__file__).parents[2] / "docs"


def test_the_document_is_made_of_the_figures_beside_it() -> None:
    """`docs/performance.md` is what `./dev bench report` makes of `docs/performance.json`."""
    assert (DOCS / "performance.md").read_text() == markdown(results.read(DOCS / "performance.json"))


def test_a_target_that_is_missed_says_so() -> None:
    """A figure on the wrong side of what was asked is a no, on the other side a yes; one not measured is left out."""
    latency = results.read(DOCS / "performance.json").latency
    assert latency is not None
    ours = latency.results[0].engine

    def answers(p99: float) -> list[str]:
        slower = [msgspec.structs.replace(each, p99=p99) for each in latency.results if each.engine == ours]
        measured = results.Results(latency=msgspec.structs.replace(latency, results=slower))
        return [row[-1] for row in targets(measured).rows]

    assert (answers(29.0), answers(31.0)) == (["yes"], ["**no**"])
