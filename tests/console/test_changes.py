"""What people change on the pages is what stands in the log: nobody's work is lost, and every refusal says why."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import yaml

from tests.console.conftest import Office
from tests.console.visitor import Answer, Visitor
from tests.processes import loanrouter


@pytest.fixture
def document(office: Office) -> Callable[[int], str]:
    """The text of a change: the active configuration, with so many attempts and seconds of holding."""

    def text(number: int) -> str:
        edited = yaml.safe_load(office.service.settings.config.read_text())
        edited["holding"]["seconds"] = 1000 + number
        return yaml.safe_dump(edited)

    return text


def fields(page: Answer) -> dict[str, str]:
    """The hidden fields of the editor."""
    assert page.status == 200
    return dict(re.findall(r'type="hidden" name="(base|draft|seen)" value="([^"]*)"', page.text))


def propose(who: Visitor, text: str, opened: Answer, **more: str) -> Answer:
    """Send the editor's form as it was opened."""
    return who.send("/configuration/propose", {"text": text, "reason": "a test", **fields(opened), **more})


def draft_of(proposed: Answer) -> str:
    """Where a proposal leads to."""
    assert proposed.status == 303, proposed.text
    return str(proposed.headers["Location"])


def log(office: Office) -> list[dict[str, Any]]:
    """The log of changes, as the command line tells it."""
    done = loanrouter("config", "log", "--json", **office.service.settings.environment())
    found: list[dict[str, Any]] = yaml.safe_load(done.stdout)
    return found


def test_two_who_edit_one_draft_do_not_overwrite_each_other(office: Office, document: Callable[[int], str]) -> None:
    """The second one is told, and has their text back; after looking again they may."""
    edith, max_ = office.console.seated("edith"), office.console.seated("max")
    path = draft_of(propose(edith, document(1), edith.get("/configuration/edit")))
    editor = f"/configuration/edit?draft={path.rpartition('/')[2]}"
    hers, his = edith.get(editor), max_.get(editor)

    assert draft_of(propose(edith, document(2), hers)) == path
    late = propose(max_, document(3), his)
    assert late.status == 409
    assert "somebody else was first" in late.text
    assert "seconds: 1003" in late.text
    assert "1003" not in max_.get(path).text
    assert "1002" in max_.get(path).text

    assert draft_of(propose(max_, document(3), max_.get(editor))) == path
    assert "<dd>edith, max</dd>" in max_.get(path).text
    assert edith.send(f"{path}/withdraw", {"reason": "a test"}).status == 303


def test_the_same_proposal_twice_is_one(office: Office, document: Callable[[int], str]) -> None:
    """Whoever comes second is told, and does not become its author."""
    edith, max_ = office.console.seated("edith"), office.console.seated("max")
    path = draft_of(propose(edith, document(4), edith.get("/configuration/edit")))

    assert propose(max_, document(4), max_.get("/configuration/edit")).status == 409
    assert "<dd>edith</dd>" in edith.get(path).text
    edith.send(f"{path}/withdraw", {"reason": "a test"})
    assert edith.get(path).status == 404


def test_an_approval_is_of_what_was_seen(office: Office, document: Callable[[int], str]) -> None:
    """An edit that comes between is not approved unseen."""
    edith, april = office.console.seated("edith"), office.console.seated("april")
    path = draft_of(propose(edith, document(5), edith.get("/configuration/edit")))
    seen = re.findall(r'name="seen" value="([^"]+)"', april.get(path).text)[0]
    propose(edith, document(6), edith.get(f"/configuration/edit?draft={path.rpartition('/')[2]}"))

    late = april.send(f"{path}/approve", {"seen": seen})

    assert late.status == 409
    assert "may have been edited since" in late.text
    assert "nobody yet" in april.get(path).text
    edith.send(f"{path}/withdraw", {"reason": "a test"})


def test_an_overtaken_draft_is_made_again(office: Office, document: Callable[[int], str]) -> None:
    """When another revision became active since, its page says so and leads to an editor on that one."""
    edith, otto = office.console.seated("edith"), office.console.seated("otto")
    path = draft_of(propose(edith, document(7), edith.get("/configuration/edit")))
    for switch in ("pause", "resume"):
        assert otto.send(f"/funders/trust-south/{switch}", {"reason": "a test"}).status == 303
    assert "Another revision became active" in edith.get(path).text
    assert "made for revision" in office.console.seated("april").send(f"{path}/approve", {"seen": ""}).text

    editor = f"/configuration/edit?draft={path.rpartition('/')[2]}"
    assert "made for revision" in propose(edith, document(8), edith.get(editor)).text
    assert draft_of(propose(edith, document(8), edith.get(f"{editor}&anew=1"))) == path
    assert "Another revision became active" not in edith.get(path).text
    edith.send(f"{path}/withdraw", {"reason": "a test"})


def test_an_activation_waits_for_its_time(office: Office, document: Callable[[int], str]) -> None:
    """The time is of a Shanghai clock; the pages show what waits, and it can be withdrawn."""
    edith, otto = office.console.seated("edith"), office.console.seated("otto")
    path = draft_of(propose(edith, document(21), edith.get("/configuration/edit")))
    office.console.seated("april").send(f"{path}/approve", {"seen": ""})
    at = datetime.now(timezone(timedelta(hours=8))) + timedelta(days=1)

    assert "That is no time" in otto.send(f"{path}/activate", {"seen": "", "at": "soon"}).text
    assert "must be later than" in otto.send(f"{path}/activate", {"seen": "", "at": "2020-01-01T00:00"}).text
    sent = otto.send(f"{path}/activate", {"seen": "", "at": f"{at:%Y-%m-%dT%H:%M}"})
    assert sent.status == 303
    for page in (path, "/configuration"):
        assert f"{at:%Y-%m-%d %H:%M}:00" in edith.get(page).text
        assert "Waits for its time" in edith.get(page).text
    assert log(office)[-1]["at"] == f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}:00.000Z"

    assert edith.send(f"{path}/withdraw", {"reason": "a test"}).status == 303
    assert "Waits for its time" not in edith.get("/configuration").text
    assert "It never was active" in edith.get(f"/configuration/revisions/{log(office)[-1]['void']}").text


def test_an_activation_by_steps(office: Office, document: Callable[[int], str]) -> None:
    """The pages show for whom it holds since when, until it is withdrawn."""
    edith, otto = office.console.seated("edith"), office.console.seated("otto")
    path = draft_of(propose(edith, document(22), edith.get("/configuration/edit")))
    office.console.seated("april").send(f"{path}/approve", {"seen": ""})

    wrong = otto.send(f"{path}/activate", {"seen": "", "shares": "some", "every": "1"})
    assert "Shares are whole per cents" in wrong.text
    assert otto.send(f"{path}/activate", {"seen": "", "shares": "5, 25, 100", "every": "1.5"}).status == 303
    assert log(office)[-1]["ramp"] == {"shares": [5, 25, 100], "every_seconds": 5400}
    for page in (path, "/configuration"):
        assert "25% of the borrowers from" in edith.get(page).text
    assert "(5, 25, 100%)" in edith.get("/configuration").text

    assert edith.send(f"{path}/withdraw", {"reason": "a test"}).status == 303
    assert "of the borrowers from" not in edith.get("/configuration").text


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("edith", "/configuration/propose"),
        ("otto", "/configuration/rollback"),
        ("otto", "/configuration/rotation/off"),
        ("otto", "/funders/cf-west/pause"),
    ],
)
def test_without_a_reason_nothing_is_written(office: Office, name: str, path: str) -> None:
    """Blanks are none; the log stays as it was."""
    before = log(office)

    answer = office.console.seated(name).send(path, {"reason": "  ", "text": "", "to": "1"})

    assert answer.status in (400, 409)
    assert "Say why." in answer.text
    assert log(office) == before


def test_rotation_is_switched_off_and_on(office: Office) -> None:
    """And the log says by whom and why, as the command line tells it."""
    otto = office.console.seated("otto")
    assert otto.send("/configuration/rotation/off", {"reason": "nobody is left"}).status == 303
    assert "Switch rotation on" in otto.get("/configuration").text
    assert "rotation is off already" in otto.send("/configuration/rotation/off", {"reason": "again"}).text
    assert otto.send("/configuration/rotation/on", {"reason": "grants are back"}).status == 303

    told = [(entry["kind"], entry["author"], entry["reason"], entry["refused"]) for entry in log(office)[-2:]]
    assert told == [
        ("rotation_off", "otto", "nobody is left", None),
        ("rotation_on", "otto", "grants are back", None),
    ]


def test_what_people_write_is_shown_as_text(office: Office, document: Callable[[int], str]) -> None:
    """A reason that looks like a page does nothing to those who read it."""
    edith = office.console.seated("edith")
    path = draft_of(propose(edith, document(9), edith.get("/configuration/edit"), reason="<script>alert(1)</script>"))

    for page in (path, "/configuration"):
        assert "<script>alert" not in edith.get(page).text
        assert "&lt;script&gt;alert" in edith.get(page).text
    edith.send(f"{path}/withdraw", {"reason": "a test"})


def test_a_text_that_cannot_be_read_comes_back_with_what_is_wrong(office: Office) -> None:
    """Each problem at its line, and the text as it was typed."""
    edith = office.console.seated("edith")
    opened = edith.get("/configuration/edit")

    answer = propose(edith, "schema: 1\nrotation: {never: 1}\n  - x", opened)
    assert answer.status == 422
    assert "not YAML" in answer.text
    assert "rotation: {never: 1}" in answer.text
