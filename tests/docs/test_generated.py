"""The documents say what the code does."""

import re
from pathlib import Path

from rotation.rules import reason_codes_markdown

ROOT = Path(__file__).parents[2]


def test_reason_codes_are_those_of_the_rules() -> None:
    """`docs/reason-codes.md` is what the rules' tables give; `./dev docs` writes it anew."""
    assert (ROOT / "docs/reason-codes.md").read_text(encoding="utf-8") == reason_codes_markdown()


def test_links_lead_somewhere() -> None:
    """Every relative link of the README is a file or folder."""
    links = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
