"""A configuration file is accepted whole or refused with file, line, key and reason of every problem in it.

What is accepted means the same to every YAML reader: where YAML 1.1 has surprises, the loader refuses.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.load import load_document, load_file, parse_config
from config.problems import ConfigError
from tests.config.shipped import (
    DOCUMENT,
    PATH,
    TEXT,
    Steps,
    Told,
    at,
    changed,
    edited,
    key_of,
    line_of,
    places,
    problems,
    written,
)

MARKET = Path(__file__).parents[2] / "market" / "rotation.yaml"
SECTIONS = [(), *(steps for steps in places() if isinstance(at(DOCUMENT, steps), dict))]
OPTIONAL = {
    ("rotation", "never_last"),
    ("rotation", "max_share"),
    ("rotation", "cooldown"),
    ("rotation", "exposure_budget"),
    ("funders", 1, "guarantee"),
}
REQUIRED = [steps for steps in places() if isinstance(at(DOCUMENT, steps[:-1]), dict) and steps not in OPTIONAL]


@pytest.mark.parametrize("path", [PATH, MARKET], ids=lambda path: str(path.relative_to(path.parents[1])))
def test_the_shipped_files_are_accepted_as_they_are_written(path: Path) -> None:
    """Every value reaches the caller as any YAML reader reads it, nothing filled in."""
    document = load_file(path)

    assert document == yaml.safe_load(path.read_text(encoding="utf-8"))
    assert [funder.id for funder in parse_config(document).funders] == [funder["id"] for funder in document["funders"]]


BROKEN = [
    ("a tab", ("schema: 1", "schema: 1\n\tseed: 2"), 2),
    ("a forbidden sign", ("schema: 1", "schema: @"), 1),
    ("a section inside a value", ("holding: {seconds: 900}", "holding: seconds: 900"), 12),
    ("a key that is out of line", ("    name: East Bank", "     name: East Bank"), 17),
    ("a bracket left open", ("attempts: {max: 2}", "attempts: {max: 2"), 12),
    ("a quote left open to the end", ("name: East Bank", "name: 'East Bank"), 17),
    ("a control character", ("holding: {seconds: 900}", "holding: {seconds: 900} # \x01"), 12),
    ("two documents", ("capture:\n", "---\ncapture:\n"), 73),
    ("an alias", ('selection: {seed: "2026-11"', "selection: {seed: *seed"), 9),
]


@pytest.mark.parametrize(("edit", "line"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_text_that_is_no_yaml_is_refused_where_it_breaks(edit: tuple[str, str], line: int) -> None:
    """One problem, on the line at which a person would look, without a key."""
    (told,) = problems(edited(edit))

    assert (told.line, told.key) == (line, "")
    assert told.reason.startswith("not YAML: ")


@pytest.mark.parametrize("text", ["", "\n \n", "# nothing but words\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    """A file without a value is told to be empty."""
    assert problems(text) == [Told(1, "", "the document is empty")]


@pytest.mark.parametrize("text", ["[schema]", "1", "rotation", "null"])
def test_a_document_that_is_no_section_is_refused(text: str) -> None:
    """A list, a number or a word is no configuration."""
    (told,) = problems(text)

    assert (told.line, told.key) == (1, "")
    assert told.reason.startswith("must be a section of keys and values, but is ")


@pytest.mark.parametrize("nested", ["[" * 5000, "{a: " * 5000, "\n".join("  " * n + "a:" for n in range(200))])
def test_deep_nesting_is_refused_where_it_gets_too_deep(nested: str) -> None:
    """No document, however deep, exhausts the loader."""
    (told,) = problems(f"schema: 1\nx:\n  {nested}")

    assert told.reason == "not YAML: nested more than 32 deep"
    assert told.line is not None
    assert 3 <= told.line <= 40


@pytest.mark.parametrize("steps", SECTIONS, ids=key_of)
def test_an_unknown_key_is_refused_in_every_section(steps: Steps) -> None:
    """No misspelt key is silently without effect, wherever it stands."""
    document = deepcopy(DOCUMENT)
    at(document, steps)["surprise"] = 1
    text = written(document)

    (told,) = problems(text)

    assert (told.line, told.key) == (line_of("surprise", text), key_of((*steps, "surprise")))
    assert told.reason.startswith("unknown key; ")


def test_an_unknown_key_is_told_with_the_one_it_resembles() -> None:
    """The reason names a similar key, or all that are known there."""
    text = edited(("    weight: 3", "    wieght: 3"), ("{max: 2}", "{max: 2, x: 1}"))

    assert problems(text) == [
        Told(line_of("{max"), "attempts.x", "unknown key; known here are max"),
        Told(
            line_of("  - id: bank-east"),
            "funders[0].weight",
            "is missing; it must be a number above 0 and at most 1000000",
        ),
        Told(line_of("    weight: 3"), "funders[0].wieght", "unknown key; did you mean weight?"),
    ]


@pytest.mark.parametrize("steps", REQUIRED, ids=key_of)
def test_a_key_that_is_left_out_is_missing(steps: Steps) -> None:
    """Every key but the soft rules and the guarantee is required."""
    document = deepcopy(DOCUMENT)
    del at(document, steps[:-1])[steps[-1]]

    with pytest.raises(ConfigError) as refusal:
        parse_config(document)

    (problem,) = refusal.value.problems
    assert problem.key == key_of(steps)
    assert problem.reason.startswith("is missing; it must be ")


def test_a_missing_key_is_told_on_its_section() -> None:
    """The line is that of the section which lacks it."""
    text = edited((", strength: 50", ""), ("attempts: {max: 2}\n", ""))

    assert problems(text) == [
        Told(1, "attempts", "is missing; it must be a section of keys and values"),
        Told(27, "funders[0].pass_rate_prior.strength", "is missing; it must be a number above 0 and at most 1000000"),
    ]


@pytest.mark.parametrize("steps", sorted(OPTIONAL - {("funders", 1, "guarantee")}), ids=key_of)
def test_a_soft_rule_may_be_left_out_with_its_place_in_the_order(steps: Steps) -> None:
    """A rule that is left out, or empty, is off."""
    order = [rule for rule in DOCUMENT["rotation"]["relax_order"] if rule != steps[-1]]
    off = changed(("rotation", "relax_order"), order)
    off["rotation"][steps[-1]] = None
    gone = deepcopy(off)
    del gone["rotation"][steps[-1]]

    assert parse_config(off) == parse_config(gone)
    assert getattr(parse_config(gone).rotation, str(steps[-1])) is None


@pytest.mark.parametrize("steps", list(places()), ids=key_of)
def test_a_value_of_the_wrong_type_is_refused_at_its_key(steps: Steps) -> None:
    """Every value is checked, and what is wrong with it is told on the line at which it stands."""
    text = written(changed(steps, {"surprise": 1}))

    told = problems(text)

    assert told
    assert {problem.line for problem in told} == {line_of("surprise", text)}
    assert all(problem.key.startswith(key_of(steps)) for problem in told)


@pytest.mark.parametrize("value", [" ", [["surprise"]], -1.5, 10**400, float("nan"), float("-inf")], ids=repr)
def test_no_value_is_of_any_type(value: Any) -> None:
    """Blank texts, lists in lists, negative, endless and impossible numbers are refused wherever they stand."""
    for steps in places():
        with pytest.raises(ConfigError) as refusal:
            parse_config(changed(steps, value))

        assert all(problem.key.startswith(key_of(steps)) for problem in refusal.value.problems)


DUPLICATES = [
    (("schema: 1", "schema: 1\nschema: 1"), Told(2, "schema", "the key stands here twice, first on line 1")),
    (
        ("  min_live", "  cooldown: {days: 1}\n  min_live"),
        Told(8, "rotation.cooldown", "the key stands here twice, first on line 5"),
    ),
    (("{n: 1}", "{n: 1, n: 2}"), Told(3, "rotation.never_last.n", "the key stands here twice, first on line 3")),
    (
        ("    weight: 3", "    weight: 3\n    weight: 30"),
        Told(21, "funders[0].weight", "the key stands here twice, first on line 20"),
    ),
]


@pytest.mark.parametrize(("edit", "expected"), DUPLICATES, ids=lambda case: case.key if isinstance(case, Told) else "")
def test_a_key_that_stands_twice_is_refused(edit: tuple[str, str], expected: Told) -> None:
    """YAML readers take the last one in silence; here both lines are told."""
    assert problems(edited(edit)) == [expected]


SURPRISES = [
    # old, new, key, reason
    (
        "status: active",
        "status: on",
        "funders[0].status",
        'YAML takes on for true; write true, or "on" in quotes if a text is meant',
    ),
    (
        "id: bank-east",
        "id: no",
        "funders[0].id",
        'YAML takes no for false; write false, or "no" in quotes if a text is meant',
    ),
    (
        "weight: 3",
        "weight: 014",
        "funders[0].weight",
        'YAML takes 014 for 12; write 12, or "014" in quotes if a text is meant',
    ),
    (
        "daily_count: 2000",
        "daily_count: 2_000",
        "funders[0].quota.daily_count",
        'YAML takes 2_000 for 2000; write 2000, or "2_000" in quotes if a text is meant',
    ),
    (
        'open: "06:00-23:00"',
        "open: 22:30",
        "funders[0].open",
        'YAML takes 22:30 for 1350; write 1350, or "22:30" in quotes if a text is meant',
    ),
    (
        'seed: "2026-11"',
        "seed: 2026-11-01",
        "selection.seed",
        'YAML takes 2026-11-01 for a date; write "2026-11-01" in quotes',
    ),
    ("name: East Bank", "name: =", "funders[0].name", 'YAML takes = for no text; write "=" in quotes'),
    ("name: East Bank", "name: !!binary RWFzdA==", "funders[0].name", "the type !!binary is not used here"),
    ("name: East Bank", "name: !bank East", "funders[0].name", "the type !bank is not used here"),
    ("terms: [3, 6, 12, 24]", "terms: !!set {3, 6}", "funders[0].terms", "the type !!set is not used here"),
    ("weight: 3", "weight: " + "9" * 5000, "funders[0].weight", "a number with too many digits"),
    ("schema: 1", "schema: 1\n2: 3", "2", "a key must be a text; quote it if it is meant as one"),
    ("schema: 1", "schema: 1\n<<: {a: 1}", "<<", "a key must be a text; quote it if it is meant as one"),
    ("schema: 1", "schema: 1\n? [a, b]\n: 3", "", "a key must be a text; quote it if it is meant as one"),
]


@pytest.mark.parametrize(("old", "new", "key", "reason"), SURPRISES, ids=[case[1][:20] for case in SURPRISES])
def test_what_yaml_takes_for_something_else_is_refused(old: str, new: str, key: str, reason: str) -> None:
    """The reason says what YAML makes of the value and how to write what was meant; nothing else is told of it."""
    line = line_of(old) + (1 if "\n" in new else 0)

    assert problems(edited((old, new))) == [Told(line, key, reason)]


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    """A risk officer mends the file in one go: surprises, unknown keys, bad values and contradictions together."""
    text = edited(
        ("never_last: {n: 1}", "never_last: {n: 0}"),
        ("exploration: 0.05", "exploraton: 0.05"),
        ("status: active", "status: yes"),
        ("age: [20, 60]", "age: [20, 0x3C]"),
        ("age: [25, 55]", "age: [55, 25]"),
        ("throttled: 0.5", "throttled: 1.5"),
    )

    assert [(told.line, told.key) for told in problems(text)] == [
        (3, "rotation.never_last.n"),
        (9, "selection.exploraton"),
        (9, "selection.exploration"),
        (19, "funders[0].status"),
        (37, "funders[1].age[1]"),
        (66, "funders[3].age"),
        (79, "capture.ladder.traffic_multiplier.throttled"),
    ]


def test_lines_count_what_stands_before_the_document() -> None:
    """Comments and blank lines count, as an editor counts them."""
    text = "# ours\n\n" + edited(("apr_cap_bp: 2400", "apr_cap_bp: 2401"))

    assert [told.line for told in problems(text)] == [16]


def test_a_problem_reads_as_file_line_key_and_reason() -> None:
    """One line a problem, as editors and terminals take it apart."""
    with pytest.raises(ConfigError) as refusal:
        load_document(edited(("weight: 3", "weight: 0"), ("fee_bp: 320", "fee_bp: free")), "here/rotation.yaml")

    assert str(refusal.value).splitlines() == [
        "here/rotation.yaml:20: funders[0].weight: must be a number above 0 and at most 1000000, but is 0",
        'here/rotation.yaml:27: funders[0].fee_bp: must be a whole number from 0 to 10000, but is the text "free"',
    ]


def test_a_file_that_is_not_there_is_a_problem_as_well(tmp_path: Path) -> None:
    """The system's reason is told with the path."""
    for path, reason in ((tmp_path / "none.yaml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as refusal:
            load_file(path)

        (problem,) = refusal.value.problems
        assert (problem.source, problem.line, problem.key) == (str(path), None, "")
        assert reason in problem.reason


def test_a_file_in_another_encoding_is_refused_on_its_line(tmp_path: Path) -> None:
    """A name typed in GBK is told where it stands, not read as something else."""
    path = tmp_path / "rotation.yaml"
    path.write_bytes(TEXT.encode().replace(b"East Bank", "东方银行".encode("gbk")))

    with pytest.raises(ConfigError) as refusal:
        load_file(path)

    assert [str(problem) for problem in refusal.value.problems] == [f"{path}:17: is no UTF-8 text"]


def test_other_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    """A file saved on Windows is the same configuration, its lines the same."""
    path = tmp_path / "rotation.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())

    assert load_file(path) == DOCUMENT
    path.write_bytes(edited(("fee_bp: 480", "fee_bp: -1")).replace("\n", "\r\n").encode())
    with pytest.raises(ConfigError) as refusal:
        load_file(path)
    assert [problem.line for problem in refusal.value.problems] == [line_of("fee_bp: 480")]


def test_without_a_file_problems_have_no_line() -> None:
    """A configuration from a record or a program is checked the same, told by key."""
    with pytest.raises(ConfigError) as refusal:
        parse_config(changed(("funders", 2, "id"), "bank-east"), "there")

    assert [str(problem) for problem in refusal.value.problems] == [
        "there: funders[2].id: bank-east is the id of funders[0] already"
    ]
