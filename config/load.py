"""From a document to a `RotationConfig`: every key checked against the model, every problem found in one pass.

A section whose own keys are all sound is built even when others are not, so that its contradictions
(`config.checks`) are reported together with everything else.
"""

import math
import types
import typing
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

import msgspec

from config.checks import CHECKS
from config.document import Unreadable, read_yaml
from config.examples import failures
from config.problems import ConfigError, Finding, Path, Problem, located
from config.rotation import RotationConfig
from config.wording import expected, needs_quotes, shown


def load_file(path: FilePath) -> dict[str, Any]:
    """`load_document` of a file; a file that cannot be read is a `ConfigError` as well."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem(str(path), None, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(str(path), line, "", "is no UTF-8 text")]) from None
    return load_document(text, str(path))


def load_document(text: str, source: str) -> dict[str, Any]:
    """The document in a YAML text as it was given, after all checks; raises `ConfigError` with lines.

    `source` names the text in errors, such as its path. `parse_config` makes the configuration of it.
    """
    document = read_yaml(text, source)
    _, findings = build_config(document.value)
    problems = document.problems + located(findings, source, document.lines)
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    return typing.cast(dict[str, Any], document.value)


def parse_config(document: Any, source: str = "config") -> RotationConfig:
    """The configuration in a document of plain values; raises `ConfigError` without lines."""
    config, findings = build_config(document)
    if config is None:
        raise ConfigError(located(findings, source, {}))
    return config


def build_config(value: Any) -> tuple[RotationConfig | None, list[Finding]]:
    """The configuration in a value, or None and what is wrong with it. Its examples are tried if the rest is sound."""
    config, findings = build(value, RotationConfig)
    if config is not None:
        findings = failures(config)
    return (None if findings else config), findings


_Section = typing.TypeVar("_Section", bound=msgspec.Struct)


def build(value: Any, section: type[_Section]) -> tuple[_Section | None, list[Finding]]:
    """The section in a value, or None and what is wrong with it. Runs the checks of each section in it."""
    builder = _Builder()
    built = builder.build(value, section, ())
    return (None if builder.findings or not isinstance(built, section) else built), builder.findings


class _Builder:
    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def build(self, value: Any, annotation: Any, path: Path) -> Any:
        """The value as the model has it, or `Unreadable` after its findings are noted."""
        if value is Unreadable.VALUE:
            return value
        for kind in _alternatives(annotation):
            if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                return self._section(value, kind, path)
            made, items = typing.get_origin(kind), typing.get_args(kind)
            if isinstance(value, list) and (made is list or (made is tuple and len(value) == len(items))):
                return self._list(value, made, items[0], path)
        return self._leaf(value, annotation, path)

    def _section(self, value: dict[str, Any], section: type[msgspec.Struct], path: Path) -> Any:
        fields = msgspec.structs.fields(section)
        if section.__struct_config__.forbid_unknown_fields:
            known = {field.name for field in fields}
            for key in value:
                if key not in known:
                    self._refuse((*path, key), f"unknown key; {_hint(key, known)}")
        built: dict[str, Any] = {}
        for field in fields:
            if field.name in value:
                built[field.name] = self.build(value[field.name], field.type, (*path, field.name))
            elif field.required:
                built[field.name] = self._refuse((*path, field.name), f"is missing; it must be {expected(field.type)}")
        if Unreadable.VALUE in built.values():
            return Unreadable.VALUE
        made = section(**built)
        for check in CHECKS.get(section, ()):
            self.findings.extend(Finding((*path, *within), reason) for within, reason in check(made))
        return made

    def _list(self, value: list[Any], made: type[list[Any] | tuple[Any, ...]], item: Any, path: Path) -> Any:
        built = [self.build(part, item, (*path, index)) for index, part in enumerate(value)]
        return Unreadable.VALUE if Unreadable.VALUE in built else made(built)

    def _leaf(self, value: Any, annotation: Any, path: Path) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return self._refuse(path, f"must be {expected(annotation)}, but is no finite number")
        if isinstance(value, str) and not _is_unicode(value):
            return self._refuse(path, "holds half of a surrogate pair, which is no character")
        try:
            return msgspec.convert(value, annotation)
        except msgspec.ValidationError:
            quotes = "; put it in quotes" if needs_quotes(annotation, value) else ""
            return self._refuse(path, f"must be {expected(annotation)}, but is {shown(value)}{quotes}")

    def _refuse(self, path: Path, reason: str) -> Unreadable:
        self.findings.append(Finding(path, reason))
        return Unreadable.VALUE


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _hint(key: object, known: Iterable[str]) -> str:
    similar = get_close_matches(str(key), known, n=1)
    return f"did you mean {similar[0]}?" if similar else f"known here are {', '.join(sorted(known))}"


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
