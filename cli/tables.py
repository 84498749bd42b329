"""Tables of a report in the terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table as RichTable

from whatif.tables import Table


def show(tables: Iterable[Table]) -> None:
    """Print them one after the other."""
    console = Console()
    for table in tables:
        shown = RichTable(title=table.title, title_justify="left")
        for n, name in enumerate(table.columns):
            shown.add_column(name, justify="right" if n else "left")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)
