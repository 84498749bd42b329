"""Strict reading of YAML and JSON: a document either means the same to every reader, or is refused.

YAML 1.1 takes `22:30` for 1350, `no` for false and `014` for 12, and the last of two equal keys wins. Each of
these is refused with its line, so that whatever is accepted here is what `yaml.safe_load` reads as well.
"""

import json
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

import yaml

from config.problems import ConfigError, Path, Problem, dotted
from config.wording import shown

_TAG: Final = "tag:yaml.org,2002:"
_DEEPEST: Final = 32

#: Of the plain scalars that YAML 1.1 does not read as text, those that every reader reads alike.
_UNDISPUTED: Final[Mapping[str, re.Pattern[str]]] = {
    "null": re.compile(r"~?|null|Null|NULL"),
    "bool": re.compile(r"(true|false)", re.IGNORECASE),
    "int": re.compile(r"[-+]?(0|[1-9][0-9]*)"),
    "float": re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]*([eE][-+][0-9]+)?|[-+]?\.(inf|nan)", re.IGNORECASE),
}


class Unreadable(Enum):
    """Stands in a document for a value whose problem is reported already."""

    VALUE = "unreadable"


class YamlDocument(NamedTuple):
    """A YAML document: its value, the line of each key and list item, and what could not be read."""

    value: Any
    lines: Mapping[Path, int]
    problems: list[Problem]


def read_yaml(text: str, source: str) -> YamlDocument:
    """Read one YAML document; raises `ConfigError` where the syntax is broken, with the first line that is."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError([Problem(source, _broken_line(error, text), "", f"not YAML: {reason}")]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError([Problem(source, line, "", "not YAML: a character that no text may hold")]) from None
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        raise ConfigError([Problem(source, 1, "", "the document is empty")])
    reader = _Reader(source)
    return YamlDocument(reader.value(node, ()), reader.lines, reader.problems)


def read_json(raw: bytes) -> Any:
    """Read one JSON value in UTF-8; raises `ValueError` with a reason. Equal keys, NaN and infinities are refused."""
    try:
        return json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _broken_line(error: yaml.MarkedYAMLError, text: str) -> int:
    """Where the text is broken; what only its end shows, such as a quote left open, is told where it begins."""
    problem, context = error.problem_mark, error.context_mark
    mark = context if context is not None and (problem is None or not text[problem.index :].strip()) else problem
    return 1 if mark is None else min(mark.line + 1, len(text.splitlines()))


class _Loader(yaml.SafeLoader):
    """Composes nodes without aliases, and no deeper than Python's stack surely holds."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise self._refusal("aliases (*name) are refused: write the value out")
        if self._depth == _DEEPEST:
            raise self._refusal(f"nested more than {_DEEPEST} deep")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refusal(self, problem: str) -> yaml.MarkedYAMLError:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


class _Reader:
    """Turns YAML nodes into plain values, noting lines and problems on the way."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._scalars = yaml.SafeLoader("")
        self.lines: dict[Path, int] = {(): 1}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._section(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        return self._refuse(node, path, _unused(node.tag))

    def _section(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        section: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key_node.tag != _TAG + "str":
                here = path if key is None else (*path, key)
                self._refuse(key_node, here, "a key must be a text; quote it if it is meant as one")
            elif key in section:
                first = self.lines[(*path, key)]
                self._refuse(key_node, (*path, key), f"the key stands here twice, first on line {first}")
            else:
                self.lines[(*path, key)] = key_node.start_mark.line + 1
                section[key] = self.value(value_node, (*path, key))
        return section

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self.lines[path] = node.start_mark.line + 1
        return self.value(node, path)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return node.value
        if kind in _UNDISPUTED and _UNDISPUTED[kind].fullmatch(node.value):
            try:
                return self._scalars.construct_object(node)
            except ValueError:
                return self._refuse(node, path, "a number with too many digits")
        return self._refuse(node, path, self._dispute(node, kind))

    def _dispute(self, node: yaml.ScalarNode, kind: str) -> str:
        plain = self._scalars.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
        if node.tag != plain:
            return _unused(node.tag)
        written = node.value if len(node.value) <= 60 else node.value[:60] + "…"
        if kind == "timestamp":
            return f'YAML takes {written} for a date; write "{written}" in quotes'
        try:
            taken = shown(self._scalars.construct_object(node))
        except (yaml.YAMLError, ValueError, KeyError):
            return f'YAML takes {written} for no text; write "{written}" in quotes'
        return f'YAML takes {written} for {taken}; write {taken}, or "{written}" in quotes if a text is meant'

    def _refuse(self, node: yaml.Node, path: Path, reason: str) -> Unreadable:
        self.problems.append(Problem(self._source, node.start_mark.line + 1, dotted(path), reason))
        return Unreadable.VALUE


def _unused(tag: str) -> str:
    return f"the type {tag.replace(_TAG, '!!', 1)} is not used here"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
