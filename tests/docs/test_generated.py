"""The documents say what the code does, and lead to each other."""

import re
from pathlib import Path

import pytest

from rotation.rules import reason_codes_markdown
from tests.docs.pages import ROOT, page

PAGES = ["README.md", "CHANGELOG.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def test_reason_codes_are_those_of_the_rules() -> None:
    """`docs/reason-codes.md` is what the rules' tables give; `./dev docs` writes it anew."""
    assert page("docs/reason-codes.md") == reason_codes_markdown()


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link is to a file or folder, and its anchor to a heading there."""
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page(name)):
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), path
        if anchor:
            assert anchor in _anchors(target), anchor


def test_the_readme_leads_to_every_guide() -> None:
    """Each document of the folder is in its table, decisions by their folder."""
    links = set(re.findall(r"\]\(([^)]+)\)", page("README.md")))
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= links
    assert "docs/decisions" in links


def _anchors(file: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
