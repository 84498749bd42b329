"""An example in a configuration holds, or the configuration is refused with the place and what it comes to instead.

Wherever a configuration is read: from a file, in a revision's record, in a proposed draft.
"""

from copy import deepcopy
from typing import Any

import pytest

from config.difference import differences
from config.load import parse_config
from config.problems import ConfigError
from config.records import Proposal
from config.revisions import apply_record, encode_record, first_revision, revision_of
from tests.config.changes import AT, after, refusal
from tests.config.shipped import DOCUMENT, TEXT, Told, line_of, problems

NOT_TWICE = """
examples:
  - name: not twice in a row
    at: "2026-11-02T14:00:00+08:00"
    grants:
      - {funder: bank-east}
      - {funder: cf-north, credit_limit: 600000, apr_bp: 2400}
    past:
      - {funder: bank-east, days_ago: 5}
      - {funder: cf-north, days_ago: 8}
    request: {amount: 600000, term_months: 12, region: "310000", risk_grade: A, age: 34}
    expect:
      funder: cf-north
      reason: only_candidate
      relaxed: [cooldown]
      excluded:
        - {funder: bank-east, code: never_last}
"""


def with_example(*edits: tuple[str, str]) -> str:
    """The shipped text with the example after replacing parts of it."""
    text = NOT_TWICE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return TEXT + text


def example(**edits: Any) -> dict[str, Any]:
    """The shipped document with an example that expects this."""
    request = {"amount": 600_000, "term_months": 12, "region": "310000", "risk_grade": "A", "age": 34}
    made = {
        "name": "x",
        "at": "2026-11-02T14:00:00+08:00",
        "grants": [{"funder": "bank-east"}],
        "request": request,
        "expect": {"funder": "bank-east"},
    }
    return deepcopy(DOCUMENT) | {"examples": [made | edits]}


def test_an_example_that_holds_is_no_problem() -> None:
    """Past drawdowns count by how long ago they were, however they are listed."""
    assert problems(with_example()) == []


FAILING = [
    (
        ("funder: cf-north\n      reason", "funder: bank-east\n      reason"),
        "      funder: bank-east",
        "expect.funder",
        "bank-east is expected, but it goes to cf-north (only_candidate, relaxed); bank-east is out by never_last",
    ),
    (
        ("reason: only_candidate", "reason: no_candidate"),
        "reason: no_candidate",
        "expect.reason",
        "no_candidate is expected, but it goes to cf-north (only_candidate, relaxed)",
    ),
    (
        ("relaxed: [cooldown]", "relaxed: []"),
        "relaxed: []",
        "expect.relaxed",
        "nothing should be given up, but cooldown is",
    ),
    (
        ("code: never_last", "code: closed"),
        "- {funder: bank-east, code: closed}",
        "expect.excluded[0]",
        "bank-east should be out by closed, but it is out by never_last",
    ),
    (
        ("{funder: bank-east, code: never_last}", "{funder: cf-north, code: max_share}"),
        "- {funder: cf-north, code: max_share}",
        "expect.excluded[0]",
        "cf-north should be out by max_share, but it is not out",
    ),
]


@pytest.mark.parametrize(("edit", "line", "key", "reason"), FAILING, ids=[f"{case[2]}: {case[3]}" for case in FAILING])
def test_an_example_that_fails_is_told_where_it_expects(
    edit: tuple[str, str], line: str, key: str, reason: str
) -> None:
    """File, line, key, and what the decision is instead."""
    text = with_example(edit)

    assert problems(text) == [
        Told(TEXT.count("\n") + line_of(line, NOT_TWICE.replace(*edit, 1)), f"examples[0].{key}", reason)
    ]


@pytest.mark.parametrize(
    ("past", "funder"),
    [
        ({"outcome": "disbursed"}, None),
        ({"outcome": "cancelled"}, None),
        ({"outcome": "declined"}, "bank-east"),
        ({"outcome": "declined", "owed": 900_000}, "bank-east"),
    ],
)
def test_what_became_of_a_past_drawdown_counts(past: dict[str, Any], funder: str | None) -> None:
    """A loan or a borrower who walked away is in the ledger; what the funder declined is not."""
    document = example(past=[{"funder": "bank-east", "days_ago": 3, **past}])
    document["rotation"] = {"never_last": {"n": 1}, "relax_order": [], "min_live_grants": 0}
    out = {"reason": "no_candidate", "excluded": [{"funder": "bank-east", "code": "never_last"}]}
    document["examples"][0]["expect"] = out if funder is None else {"funder": funder}

    assert parse_config(document).examples[0].past[0].funder == "bank-east"


def test_what_is_owed_takes_from_the_line() -> None:
    """A credit limit is free only as far as nothing is owed on it."""
    document = example(
        grants=[{"funder": "bank-east", "credit_limit": 1_000_000}],
        past=[{"funder": "bank-east", "days_ago": 60, "owed": 500_000}],
        expect={"excluded": [{"funder": "bank-east", "code": "grant_limit"}]},
    )

    assert len(parse_config(document).examples) == 1


@pytest.mark.parametrize(
    ("edits", "key", "reason"),
    [
        ({"at": "2026-11-31T14:00:00Z"}, "at", "2026-11-31T14:00:00Z is no time of the calendar between 2000 and 2999"),
        ({"at": "0001-01-01T00:00:00Z"}, "at", "0001-01-01T00:00:00Z is no time of the calendar between 2000 and 2999"),
        ({"expect": {}}, "expect", "expects nothing, so it could never fail"),
        ({"grants": [{"funder": "x"}]}, "grants[0].funder", "x is no funder of this configuration"),
        ({"past": [{"funder": "x", "days_ago": 1}]}, "past[0].funder", "x is no funder of this configuration"),
        ({"expect": {"funder": "x"}}, "expect.funder", "x is no funder of this configuration"),
        (
            {"expect": {"excluded": [{"funder": "x", "code": "closed"}]}},
            "expect.excluded[0].funder",
            "x is no funder of this configuration",
        ),
    ],
)  # fmt: skip
def test_an_example_that_cannot_be_meant_is_refused(edits: dict[str, Any], key: str, reason: str) -> None:
    """A time that is none, nothing expected, funders that are not there."""
    with pytest.raises(ConfigError) as refused:
        parse_config(example(**edits))

    assert [(problem.key, problem.reason) for problem in refused.value.problems] == [(f"examples[0].{key}", reason)]


def test_examples_wait_until_all_else_is_sound() -> None:
    """A contradiction elsewhere is told alone: what an example comes to then says nothing."""
    text = with_example(("relaxed: [cooldown]", "relaxed: []")).replace("age: [25, 55]", "age: [55, 25]")

    assert [told.key for told in problems(text)] == ["funders[3].age"]


def failing() -> dict[str, Any]:
    """A document with an example that fails; all else is sound."""
    return example(expect={"funder": "cf-north"})


def test_a_draft_whose_example_fails_is_refused() -> None:
    """The life cycle never sees it as a draft."""
    document = failing()
    sha256 = revision_of(1, document, first_revision(DOCUMENT).config).sha256
    proposal = Proposal(
        author="wei", reason="x", occurred_at=AT, draft="d", base=1, config=document, config_sha256=sha256
    )

    assert refusal(after(), proposal) == (
        "config.examples[0].expect.funder",
        "cf-north is expected, but it goes to bank-east (only_candidate); cf-north is out by no_live_grant",
    )


def test_a_revision_whose_example_fails_is_refused() -> None:
    """Also when a program publishes it directly."""
    sound = first_revision(DOCUMENT)
    raw = encode_record(revision_of(2, failing(), sound.config), author="program", reason="x", occurred_at=AT)

    with pytest.raises(ConfigError, match="cf-north is expected"):
        apply_record(sound, raw)


def test_the_difference_of_examples_is_told() -> None:
    """How many there were and are."""
    before, now = first_revision(DOCUMENT), first_revision(example())

    assert [str(each) for each in differences(before, now)] == ["all funders: examples changed: 0 → 1"]
