"""Invariant: whatever becomes of the shipped configuration, the loader accepts it or says what is wrong, never crashes.

- A document in which values were replaced, left out, added or repeated is refused only with problems that each name
  a key and a line of the file.
- A text of which parts were cut out, typed in or moved is refused only with problems on a line of the file, and
  with a key unless it is no YAML, or no section, at all.
- What is accepted is what `yaml.safe_load` reads, and travels in a record of `rotation-config` without a change.
"""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config.load import load_document
from config.problems import ConfigError
from config.revisions import apply_record, encode_record, first_revision
from tests.config.shipped import DOCUMENT, TEXT, Steps, at, places, written

MUTATIONS = 150
AT = datetime(2026, 11, 1, tzinfo=UTC)
#: Marks that YAML gives a meaning to, and parts of the file itself.
PARTS = [*"{}[]:,#&*!|>'\"%@`?-\t\n \x00\ufeff\u2028😀", "\n  ", "- ", ": ", "<<: ", "!!", "---\n", "...\n"]
#: Reasons that concern no one key.
OF_NO_KEY = ("not YAML: ", "must be a section of", "a key must be a text", "the document is empty")
PLACES = list(places())

texts = st.text(max_size=8) | st.sampled_from(["", "all", "06:00-23:00", "310000", "1e5", "22:30", "no", "=", "<<"])
numbers = st.integers() | st.integers(-(10**400), 10**400) | st.floats()
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """The shipped document after one to three changes at any place."""
    document = deepcopy(DOCUMENT)
    for _ in range(draw(st.integers(1, 3))):
        steps: Steps = draw(st.sampled_from(PLACES))
        try:
            around = at(document, steps[:-1])
            before = around[steps[-1]]
        except (KeyError, IndexError, TypeError):  # an earlier change took the place away
            continue
        if isinstance(around, str):  # or put a text there
            continue
        match draw(st.sampled_from(["replace", "swap", "remove", "add", "nudge"])):
            case "replace":
                around[steps[-1]] = draw(values)
            case "swap":
                around[steps[-1]] = deepcopy(at(DOCUMENT, draw(st.sampled_from(PLACES))))
            case "remove":
                del around[steps[-1]]
            case "nudge" if isinstance(before, int | float):
                around[steps[-1]] = before * draw(st.sampled_from([-1, 0, 0.5, 1.01, 2, 100, 10**6]))
            case _ if isinstance(around, list):
                around.insert(draw(st.integers(0, len(around))), deepcopy(before))
            case _:
                around[draw(texts)] = draw(values)
    return document


@st.composite
def spoilt_texts(draw: st.DrawFn) -> str:
    """The shipped text after one to three cuts, insertions or repetitions at any place."""
    text = TEXT
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 40)))
        typed = draw(st.sampled_from(PARTS) | st.text(max_size=3) | st.just(text[begin:end] * 2))
        text = text[:begin] + typed + text[end:]
    return text


@settings(max_examples=MUTATIONS)
@given(documents())
@example([])
@example({})
def test_a_changed_document_is_accepted_or_refused_by_key_and_line(document: Any) -> None:
    """No value at any place is silently ignored or breaks the loader."""
    text = written(document)
    problems = _load(text)

    for problem in problems:
        assert problem.key or not isinstance(document, dict)
        assert problem.reason
        assert problem.line is not None
        assert 1 <= problem.line <= len(text.splitlines())


@settings(max_examples=MUTATIONS)
@given(spoilt_texts())
@example("schema: 'never closed\n")
@example("%OURS\n")
@example("? \n")
def test_a_spoilt_text_is_accepted_or_refused_on_a_line_of_its_own(text: str) -> None:
    """No accident at the keyboard breaks the loader, or is told where the file has no line."""
    lines = len(text.splitlines())

    for problem in _load(text):
        assert problem.line is not None
        assert 1 <= problem.line <= max(lines, 1)
        assert problem.key or problem.reason.startswith(OF_NO_KEY)


def _load(text: str) -> Any:
    """The problems of a text; what is accepted must pass through a record as it is."""
    try:
        document = load_document(text, "rotation.yaml")
    except ConfigError as error:
        if not error.problems:
            raise
        return error.problems
    revision = first_revision(document)
    assert document == yaml.safe_load(text)
    assert apply_record(None, encode_record(revision, author="a", reason="b", occurred_at=AT)) == revision
    return ()
