"""`./dev bench report`: writes `docs/performance.*` from the results that `./dev bench` kept."""

from pathlib import Path

import click

from bench import results
from bench.document import markdown
from bench.plot import draw

DOCS = Path("docs")


@click.command()
@click.option(
    "--results",
    "path",
    default="build/bench.json",
    show_default=True,
    type=click.Path(path_type=Path, exists=True),
    help="File with the results.",
)
def main(path: Path) -> None:
    """Write docs/performance.md, its plot, and the results that they come from."""
    kept = results.read(path)
    results.write(DOCS / "performance.json", kept)
    (DOCS / "performance.md").write_text(markdown(kept), encoding="utf-8")
    if kept.job is not None or kept.rule is not None:
        draw(kept, DOCS / "performance.svg")


if __name__ == "__main__":
    main(prog_name="./dev bench report")
