"""The documents as tests read them: their tables and code blocks."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


def page(name: str) -> str:
    """The text of a document, by its path from the root of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or a higher one."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"no section {heading}"
    rest = text[found.end() :]
    following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest if following is None else rest[: following.start()]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, without headings and rules."""
    tables = re.findall(r"^\|.*\|\n\|[-| ]+\|\n((?:\|.*\|\n?)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for table in tables for line in table.splitlines()]


class Block(NamedTuple):
    """A code block: its language, what else stands on its first line, and its text."""

    language: str
    about: str
    text: str


def blocks(text: str, language: str) -> list[Block]:
    """The code blocks in a language, in order."""
    found = re.findall(r"^```(\w+) ?(.*)\n((?:.*\n)*?)```$", text, re.MULTILINE)
    return [Block(*block) for block in found if block[0] == language]
