"""Every command that a document names exists, with the options that it is given there."""

import re
import shlex

import click
import pytest

from cli.main import main
from tests.docs.pages import ROOT, page

PAGES = ["README.md", "CHANGELOG.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def _called(text: str) -> list[list[str]]:
    """The words after each `loanrouter` in code, up to the end of the command."""
    code = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in code for line in block.splitlines()]
    lines += [" ".join(span.split()) for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    calls = [re.search(r"(?:^|\s)loanrouter\s+(.*)", line) for line in lines]
    return [shlex.split(call[1], comments=True) for call in calls if call is not None]


def _check(words: list[str]) -> None:
    command: click.Command = main
    words = list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        below = command.get_command(click.Context(command), words[0])
        assert below is not None, f"no such command: {words[0]}"
        command = below
        words.pop(0)
    options = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_options_exist(name: str) -> None:
    """Checked against the commands themselves."""
    for words in _called(page(name)):
        _check(words)


def test_the_commands_are_found() -> None:
    """The reading of the documents sees what stands in them."""
    assert ["topics", "create"] in _called(page("README.md"))
    assert ["replay", "--check"] in _called(page("docs/operations.md"))


@pytest.mark.parametrize("words", [["nonsense"], ["replay", "--nonsense"], ["topics", "nonsense"]])
def test_a_command_that_is_not_there_is_noticed(words: list[str]) -> None:
    """The check can fail."""
    with pytest.raises(AssertionError):
        _check(words)


def test_the_verbs_of_dev_exist() -> None:
    """README and documents use no verb that `./dev` does not have."""
    verbs = set(re.findall(r"^  (\w+)\) ", page("dev"), re.MULTILINE))
    used = {verb for name in PAGES for verb in re.findall(r"\./dev (\w+)", page(name))}
    assert used
    assert used - {"help"} <= verbs
