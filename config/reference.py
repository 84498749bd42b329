"""The generated parts of docs/configuration.md: every key with what it must be, and every contradiction refused.

`python -m config.reference` writes them into the page, between its markers.
"""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec

from config.checks import CHECKS
from config.rotation import RotationConfig
from config.wording import expected

PAGE = Path("docs/configuration.md")


def keys_markdown() -> str:
    """A table of every key, in the order of the model."""
    rows = "".join(f"| `{key}` | {words} |\n" for key, words in _keys(RotationConfig, ""))
    return f"| key | must be |\n|---|---|\n{rows}"


def refused_markdown() -> str:
    """A list of what `config.checks` refuses, in each check's own words."""
    return "".join(f"- {inspect.getdoc(check)}\n" for checks in CHECKS.values() for check in checks)


def filled(page: str) -> str:
    """The page with its generated parts put in; raises `ValueError` when a marker is missing."""
    for name, text in (("keys", keys_markdown()), ("refused", refused_markdown())):
        page, number = re.subn(
            rf"(<!-- {name}: [^>]* -->\n).*?(<!-- end of {name} -->)",
            lambda found, text=text: f"{found[1]}\n{text}\n{found[2]}",  # type: ignore[misc]
            page,
            flags=re.DOTALL,
        )
        if number != 1:
            raise ValueError(f"{number} places for {name}")
    return page


def _keys(section: type[msgspec.Struct], before: str) -> Iterator[tuple[str, str]]:
    for field in msgspec.structs.fields(section):
        key = f"{before}{field.name}"
        optional = "" if field.required else "; may be left out"
        inner, is_list = _section_in(field.type)
        if inner is None:
            yield key, expected(field.type) + optional
        else:
            if is_list or optional:
                yield key, ("a list of sections" if is_list else "a section") + optional
            yield from _keys(inner, f"{key}[]." if is_list else f"{key}.")


def _section_in(annotation: typing.Any) -> tuple[type[msgspec.Struct] | None, bool]:
    """The section that a value of this type is, or is a list of."""
    if typing.get_origin(annotation) is list:
        return _section_in(typing.get_args(annotation)[0])[0], True
    if isinstance(annotation, types.UnionType):
        found = (_section_in(kind)[0] for kind in typing.get_args(annotation))
        return next((section for section in found if section is not None), None), False
    is_section = isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)
    return (annotation if is_section else None), False


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
