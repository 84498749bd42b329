"""Whatever a page says is known in Chinese, and the reader's language is the one that is spoken."""

import re
from html import unescape
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from capture.alarms import READINGS
from config.records import Record
from console import guard, server, tokens
from console.pages import people, writes
from console.texts import preferred, translator
from console.texts_zh import ANSWERS, CHINESE, PAGES
from rotation.events import CreditGrant, DrawdownOutcome, Repayment
from rotation.outputs import FunderStateName
from rotation.rules import meanings
from tests.console.served import Console
from tests.whatif.traffic import answered, pause, revision, weigh, written
from whatif.page import plots
from whatif.tables import tables

TEMPLATES = Path(server.__file__).with_name("templates")
SAID = {
    words
    for template in TEMPLATES.glob("*.html")
    for found in re.findall(r"""_\((?:"([^"]+)"|'([^']+)')\)""", template.read_text())
    for words in found
    if words
}


def choices(kind: type, field: str) -> set[str]:
    """The values that a field of a struct may have."""
    return set(get_args(kind.__annotations__[field]))


def test_every_text_of_a_template_is_known() -> None:
    """And no other is kept."""
    assert set(PAGES) == SAID


def test_every_answer_is_known() -> None:
    """What the code itself says stands in it as it is translated."""
    modules = (guard, server, tokens, people, writes)
    code = "".join(Path(module.__file__).read_text() for module in modules if module.__file__)
    code += (TEMPLATES.parent / "render.py").read_text()

    assert [words for words in ANSWERS if f'"{words}"' not in code] == []


def test_every_code_is_known() -> None:
    """Statuses, states, kinds of records and the meanings of reasons."""
    kinds = {kind for record in get_args(Record) for kind in choices(record, "kind")}
    codes = {
        *choices(DrawdownOutcome, "status"),
        *choices(CreditGrant, "status"),
        *choices(Repayment, "kind"),
        *("routed", "held", "rejected"),
        *get_args(FunderStateName),
        *meanings().values(),
        *(words for reading in READINGS.values() for words in reading.could_also_be),
        *kinds,
    }

    assert {"settled_early", "rotation_off", "probing"} <= codes
    assert codes - set(CHINESE) == set()


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.2", "en"),
        ("fr,de;q=0.9", "en"),
        ("fr,zh;q=0.3,en;q=0.2", "zh"),
        ("zh;q=nonsense,en", "en"),
    ],
)
def test_the_browser_s_wish_counts(accept: str, language: str) -> None:
    """By its weights; English when it wants neither."""
    assert preferred(accept) == language


def test_a_text_that_is_not_known_stays_as_it_is() -> None:
    """Such as what the configuration's checks say."""
    assert translator("zh")("wei wrote d") == "wei wrote d"
    assert translator("zh")("Overview") == "总览"
    assert translator("en")("Overview") == "Overview"


def test_numbers_and_names_stay_in_their_places() -> None:
    """A text that is made of words and numbers is known by its words."""
    say = translator("zh")
    assert say("moves to cf-west") == "转至 cf-west"
    needed = "3 drawdowns move to a{b, but what the record tells of it weighs as much as 9 outcomes, and 100 are needed"
    assert say(needed) == "3 笔将转至 a{b，但历史记录对其仅相当于 9 个结果，需要 100 个"
    assert translator("en")("moves to cf-west") == "moves to cf-west"


def test_a_what_if_is_told_in_chinese(tmp_path: Path) -> None:
    """Every word of a report, its doubts and its plots, but for names: none is left in English."""
    say = translator("zh")
    paused = answered(written(tmp_path / "paused", 300, pause(2), partitions=1), revision())
    few = answered(written(tmp_path / "few", 120, partitions=1), revision(weigh(2, 30)))
    report = msgspec.structs.replace(paused, why=[*paused.why, *few.why])
    assert len(report.why) > 1
    said = [words for words, _ in plots(report)] + [
        text for _, svg in plots(report) for text in map(unescape, re.findall(r">([^<>]+)</text>", svg))
    ]
    for table in tables(report):
        said += [table.title, *table.columns, *(cell for row in table.rows for cell in row)]
    names = {*report.before.funders, *report.after.funders, *report.before.relaxed, *report.after.relaxed}
    english = {word for text in [*said, *report.why] for word in re.findall(r"[A-Za-z_][A-Za-z_-]+", say(text))}
    assert english - names == set()


def test_the_choice_of_a_language_stays(console: Console) -> None:
    """Against what the browser asks for, until the other one is chosen; it leads back to where one was."""
    reader = console.visitor("vera")
    assert "资方" in reader.get("/funders", Accept_Language="zh-CN").text

    chosen = reader.get("/language/en?next=/funders")
    assert (chosen.status, chosen.headers["Location"]) == (303, "/funders")
    assert "资方" not in reader.get("/funders", Accept_Language="zh-CN").text
    assert reader.get("/language/xx?next=//example.org").headers["Location"] == "/"
