"""Tables of a report in the terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table as RichTable

from whatif.tables import Table

#: Wider than any table: what reads a pipe breaks no lines.
_UNBROKEN = 10_000


def terminal() -> Console:
    """Standard output; as wide as it takes where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_UNBROKEN)


def show(tables: Iterable[Table]) -> None:
    """Print them one after the other. No word or figure is cut: what does not fit beside another is printed wider."""
    console = terminal()
    for table in tables:
        shown = RichTable(title=table.title, title_justify="left")
        for n, (name, *cells) in enumerate(zip(table.columns, *table.rows, strict=True)):
            longest = max((len(word) for text in (name, *cells) for word in text.split()), default=0)
            shown.add_column(name, justify="right" if n else "left", min_width=longest)
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown, crop=False)
