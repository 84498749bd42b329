"""What is wrong with a configuration, as values: where, which key, why."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

#: The way from the root of a document to a value: keys of sections and, from 0, positions in lists.
Path = tuple[str | int, ...]


class Finding(NamedTuple):
    """A value that cannot be used, and the reason as a sentence for a risk officer."""

    path: Path
    reason: str


class Problem(NamedTuple):
    """A finding in a named source. `line` counts from 1, None where the source has no lines (a record)."""

    source: str
    line: int | None
    key: str
    reason: str

    def __str__(self) -> str:
        where = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{where}: {self.key}: {self.reason}" if self.key else f"{where}: {self.reason}"


class ConfigError(Exception):
    """A configuration is refused. `problems` holds every problem found, in the order of the document."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """The path as a person writes it: `funders[2].quota.daily_count`; the root is empty."""
    key = ""
    for step in path:
        if isinstance(step, int):
            key += f"[{step}]"
        else:
            name = step if re.fullmatch(r"[\w<-]+", step) else repr(step)
            key += f".{name}" if key else name
    return key


def located(findings: Iterable[Finding], source: str, lines: Mapping[Path, int]) -> list[Problem]:
    """Findings with the line of their key, or of the nearest section around it that has one."""
    return [Problem(source, _line(path, lines), dotted(path), reason) for path, reason in findings]


def _line(path: Path, lines: Mapping[Path, int]) -> int | None:
    around = (path[:length] for length in range(len(path), -1, -1))
    return next((lines[part] for part in around if part in lines), None)
