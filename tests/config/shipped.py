"""The shipped rotation.yaml with edits, and what the loader says of it."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from config.load import load_document
from config.problems import ConfigError

PATH = Path(__file__).parents[2] / "config" / "rotation.yaml"
TEXT = PATH.read_text(encoding="utf-8")
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)

Steps = tuple[str | int, ...]


class Told(NamedTuple):
    """One problem as it is told: its line, its key, the reason."""

    line: int | None
    key: str
    reason: str


def problems(text: str) -> list[Told]:
    """What the loader says of a text; nothing when it accepts it."""
    try:
        load_document(text, "rotation.yaml")
    except ConfigError as error:
        return [Told(problem.line, problem.key, problem.reason) for problem in error.problems]
    return []


def edited(*edits: tuple[str, str]) -> str:
    """The shipped text after replacing the first place of each old part by a new one."""
    text = TEXT
    for old, new in edits:
        assert old in text, f"not in the shipped file: {old}"
        text = text.replace(old, new, 1)
    return text


def line_of(part: str, text: str = TEXT) -> int:
    """The line (from 1) on which `part` first stands."""
    return text.count("\n", 0, text.index(part)) + 1


def written(document: Any) -> str:
    """A document as YAML; a section or list of nothing but plain values stands on the line of its key."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000_000, default_flow_style=None)


def changed(steps: Steps, value: Any) -> dict[str, Any]:
    """A copy of the shipped document with another value at a place."""
    document = deepcopy(DOCUMENT)
    *around, last = steps
    at(document, tuple(around))[last] = value
    return document


def at(document: Any, steps: Steps) -> Any:
    """The value at a place."""
    for step in steps:
        document = document[step]
    return document


def places(value: Any = DOCUMENT, steps: Steps = ()) -> Iterator[Steps]:
    """The place of every value in the shipped document, sections and lists included, the whole of it left out."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in inner:
        yield (*steps, step)
        yield from places(part, (*steps, step))


def key_of(steps: Steps) -> str:
    """A place as a person writes it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")
