"""A draft is tried on recorded traffic from its page, and whoever reviews it sees the same result."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.console.conftest import Office
from tests.console.served import Console
from tests.console.test_changes import document, draft_of, propose
from tests.console.visitor import Visitor
from tests.processes import loanrouter, until
from tests.rotation.world import request
from tests.worker.service import now

__all__ = ["document"]


def drafted(office: Office, text: str) -> str:
    """The path of a new draft of edith's."""
    edith = office.console.seated("edith")
    return draft_of(propose(edith, text, edith.get("/configuration/edit")))


def ended(who: Visitor, path: str) -> bool:
    """Whether no what-if of the draft is on its way."""
    return '"running": false' in who.get(f"{path}/what-if/progress").text


def test_the_reviewer_sees_what_the_author_ran(office: Office, document: Callable[[int], str]) -> None:
    """With plots and tables, in the reader's language; an edited draft has no result."""
    draft = drafted(office, document(50))
    edith, april = office.console.seated("edith"), office.console.seated("april")
    assert "has not been tried yet" in april.get(f"{draft}/what-if").text

    assert edith.send(f"{draft}/what-if/run", {}).status == 303
    assert april.send(f"{draft}/what-if/run", {}).status == 409
    until(lambda: ended(april, draft), 120)

    seen = april.get(f"{draft}/what-if").text
    assert "Run by edith" in seen
    assert "What the estimates stand on" in seen, seen
    assert "估计的依据" in april.get(f"{draft}/what-if", Accept_Language="zh").text
    pictures = re.findall(r'src="([^"]+\.svg)"', seen)
    assert len(pictures) == 3
    assert all(april.get(path).text.startswith("<svg") for path in pictures)

    opened = edith.get(f"/configuration/edit?draft={draft.rpartition('/')[2]}")
    assert draft_of(propose(edith, document(51), opened)) == draft
    assert "has not been tried yet" in april.get(f"{draft}/what-if").text
    edith.send(f"{draft}/withdraw", {"reason": "a test"})


def test_a_shadow_is_shown_to_who_reviews(office: Office, document: Callable[[int], str]) -> None:
    """Its tables and what differed last, once `loanrouter shadow` knows the borrowers; an edited draft has none."""
    draft = drafted(office, document(70))
    edith, april = office.console.seated("edith"), office.console.seated("april")
    assert "has not been in the shadow yet" in april.get(f"{draft}/shadow").text

    done = loanrouter("shadow", draft.rpartition("/")[2], "--seconds", "1", **office.service.settings.environment())
    assert done.returncode == 0, done.stderr
    assert "Decisions compared" in done.stdout

    seen = april.get(f"{draft}/shadow").text
    assert "Decided live traffic too, without effect" in seen
    assert "Decisions compared" in seen
    assert "已比较的决策" in april.get(f"{draft}/shadow", Accept_Language="zh").text
    opened = edith.get(f"/configuration/edit?draft={draft.rpartition('/')[2]}")
    assert draft_of(propose(edith, document(71), opened)) == draft
    assert "has not been in the shadow yet" in april.get(f"{draft}/shadow").text
    edith.send(f"{draft}/withdraw", {"reason": "a test"})


def test_a_what_if_is_cancelled(office: Office, document: Callable[[int], str]) -> None:
    """It ends at once, and nothing is kept of it."""
    draft = drafted(office, document(60))
    april = office.console.seated("april")
    assert april.send(f"{draft}/what-if/run", {}).status == 303
    assert not ended(april, draft)

    assert april.send(f"{draft}/what-if/cancel", {}).status == 303

    assert ended(april, draft)
    assert "has not been tried yet" in april.get(f"{draft}/what-if").text
    office.console.seated("edith").send(f"{draft}/withdraw", {"reason": "a test"})


@pytest.fixture
def another(office: Office) -> Iterator[Console]:
    """A second console on the same service, with a folder of its own and no archive."""
    settings = office.console.settings
    console = Console(replace(settings, data=office.service.settings.data / "another", console_recorded=None))
    try:
        console.start()
        yield console
    finally:
        console.stop()


def test_without_an_archive_kafka_is_asked_for_some_days(
    office: Office, another: Console, document: Callable[[int], str]
) -> None:
    """As many as the form says, 30 unless somebody wants others; the result says what is not known."""
    service = office.service
    drawdown_id = f"dd-{service.number()}"
    service.tell(request(drawdown_id, now(), customer_id=service.customer()))
    service.decisions(drawdown_id)
    draft = drafted(office, document(90))
    april = another.visitor("april")
    assert 'name="days"' not in office.console.seated("april").get(f"{draft}/what-if").text
    assert re.search(r'name="days" type="number" min="1" max="3650" value="30"', april.get(f"{draft}/what-if").text)
    for wrong in ({}, {"days": "0"}, {"days": "3651"}, {"days": "a week"}):
        refused = april.send(f"{draft}/what-if/run", wrong)
        assert (refused.status, "Days are a whole number from 1 to 3650." in refused.text) == (400, True)

    assert april.send(f"{draft}/what-if/run", {"days": "7"}).status == 303
    until(lambda: ended(april, draft), 120)

    assert "Only drawdowns requested since" in april.get(f"{draft}/what-if").text
    assert "仅计入" in april.get(f"{draft}/what-if", Accept_Language="zh").text
    office.console.seated("edith").send(f"{draft}/withdraw", {"reason": "a test"})


def test_a_killed_console_leaves_no_customers_data(
    office: Office, another: Console, document: Callable[[int], str]
) -> None:
    """What its what-if had written is gone once a console has started on its folder again."""
    draft = drafted(office, document(80))
    april = another.visitor("april")
    assert april.send(f"{draft}/what-if/run", {"days": "30"}).status == 303
    left = another.settings.data / "what-ifs"
    until(lambda: list(left.glob("*/*/*")))

    os.kill(another.pid, signal.SIGKILL)
    another.stop()
    assert list(left.glob("*/*/*"))
    another.start()

    assert not list(left.glob("*"))
    office.console.seated("edith").send(f"{draft}/withdraw", {"reason": "a test"})
