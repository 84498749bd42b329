"""Every page works for everybody: no barrier that axe finds, by day and night, on a phone, by keyboard, in Chinese.

With LOANROUTER_TEST_PICTURES the pictures of the documents are drawn anew into the folder that it names
(`./dev pictures`).
"""

import os
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from rotation.clock import rfc3339
from rotation.outputs import CaptureAlert, CaptureEvidence, FunderState, SilentDetector, encode
from tests.console.chromium import Chromium
from tests.console.conftest import Office
from tests.console.served import PASSWORD
from tests.processes import until
from tests.rotation.world import grant, outcome, request
from tests.worker.service import Item, now

BORROWER, DRAWDOWN, ACCUSED = "c-shown", "dd-shown-3", "cf-west"
#: Each page by the name of its picture, and who looks at it.
PAGES = {
    "login": ("/login", None),
    "overview": ("/", "vera"),
    "borrower": (f"/borrowers?id={BORROWER}", "vera"),
    "borrowers": ("/borrowers", "vera"),
    "decision": (f"/decisions?id={DRAWDOWN}", "vera"),
    "funders": ("/funders", "vera"),
    "funder": (f"/funders/{ACCUSED}", "otto"),
    "configuration": ("/configuration", "max"),
    "editor": ("/configuration/edit", "max"),
    "draft": ("/configuration/drafts/{draft}", "max"),
    "what-if": ("/configuration/drafts/{draft}/what-if", "max"),
    "revision": ("/configuration/revisions/1", "vera"),
    "people": ("/people", "admin"),
    "password": ("/password", "vera"),
    "tokens": ("/tokens", "max"),
    "nowhere": ("/nowhere", "vera"),
}
PICTURED = [name for name in PAGES if name != "nowhere"]
OTHERS, DRAWDOWNS = 12, 5
SILENT = [SilentDetector("non_return", "grade B after a loan", 41, 200)]
STATE = FunderState(
    ACCUSED, {"A": 0.62, "B": 0.58}, "watch", 1.0, rfc3339(now()), "pass_rate of grade A", 1_000, silent=SILENT
)
PHONE, DESK = (390, 844), (1100, 800)


@pytest.fixture(scope="module")
def shown(office: Office) -> str:
    """A service with something on every page; gives the id of an open draft."""
    service, at = office.service, now()
    funders = [funder["id"] for funder in service.document["funders"]]
    for customer_id in (BORROWER, *(service.customer() for _ in range(OTHERS))):
        service.tell(*(grant(funder_id, at, customer_id=customer_id) for funder_id in funders))
        if customer_id != BORROWER:
            asked = (f"dd-{customer_id}-{number}" for number in range(DRAWDOWNS))
            service.tell(*(request(drawdown_id, now(), customer_id=customer_id) for drawdown_id in asked))
    for number in (1, 2, 3):
        drawdown_id = f"dd-shown-{number}"
        service.tell(request(drawdown_id, now(), customer_id=BORROWER))
        chosen = service.decisions(drawdown_id)[0].funder_id or ""
        if number < 3:
            service.tell(outcome(drawdown_id, chosen, "disbursed", now(), customer_id=BORROWER))
    evidence = CaptureEvidence(19, 8.2, 61, 6.4, 5.9, rfc3339(at - 86_400_000), ["tighter credit", "an outage"])
    alert = CaptureAlert(
        "alert-shown", ACCUSED, "grade A", "pass_rate", "watch", rfc3339(at), evidence, "normal", "watch"
    )
    service.publish(Item("capture-alerts", encode(alert), ACCUSED.encode()))
    service.set_state(STATE)
    editor = office.console.seated("max")
    text = service.settings.config.read_text().replace("max: 2", "max: 3")
    proposed = editor.send("/configuration/propose", {"text": text, "reason": "three tries", **_base(office)})
    assert proposed.status == 303, proposed.text
    reader = office.console.seated("vera")
    until(lambda: "→" in reader.get(f"/decisions?id={DRAWDOWN}").text)
    until(lambda: "pass_rate" in reader.get(f"/funders/{ACCUSED}").text)
    draft = proposed.headers["Location"]
    assert editor.send(f"{draft}/what-if/run", {}).status == 303
    until(lambda: '"running": false' in reader.get(f"{draft}/what-if/progress").text, 120)
    return draft.rpartition("/")[2]


def _base(office: Office) -> dict[str, str]:
    revision = office.console.seated("vera").get("/live").text.rpartition('"revision": ')[2].rstrip("}")
    return {"base": revision, "draft": "", "seen": ""}


def look(chromium: Chromium, name: str, draft: str) -> None:
    """Open a page as who looks at it."""
    path, person = PAGES[name]
    if person is None:
        chromium.log_out()
    elif chromium.texts(".who a:last-of-type") != [person]:
        chromium.log_in(person)
    chromium.complaints()
    chromium.open(path.format(draft=draft))
    chromium.one("h1")


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_barrier(chromium: Chromium, shown: str, name: str) -> None:
    """For axe, light and dark; on a phone it fits the screen; the browser complains of nothing."""
    look(chromium, name, shown)
    if name == "overview":
        chromium.one("#chart rect")
    if name == "what-if":
        assert len(chromium.texts(".plot")) == 3
    assert chromium.barriers() == []
    chromium.dark(on=True)
    assert chromium.barriers() == []
    chromium.dark(on=False)
    chromium.sized(*PHONE)
    try:
        assert not chromium.overflows()
        assert chromium.barriers() == []
    finally:
        chromium.sized(*DESK)
    expected = ["404"] if name == "nowhere" else []
    assert [words for words in chromium.complaints() if not any(each in words for each in expected)] == []
    if (folder := os.environ.get("LOANROUTER_TEST_PICTURES")) and name in PICTURED:
        chromium.run("scrollTo(0, 0)")
        chromium.picture(Path(folder) / f"{name}.png")


def test_axe_finds_a_barrier_where_there_is_one(chromium: Chromium, shown: str) -> None:
    """The check can fail: a field that loses its label is told."""
    look(chromium, "login", shown)
    chromium.run("document.querySelector('[name=name]').closest('label').replaceWith(document.createElement('input'))")
    assert any(found.startswith("label:") for found in chromium.barriers())


def test_a_detector_that_is_silent_says_what_it_lacks(office: Office, shown: str) -> None:
    """On the funder's page, with what it has and needs."""
    reader = office.console.seated("vera")

    def told() -> bool:
        office.service.set_state(STATE)  # again: the funder's own agent has its word too, when something happens there
        return "non_return (grade B after a loan): 41 / 200" in reader.get(f"/funders/{ACCUSED}").text

    until(told)


def test_by_keyboard_alone(chromium: Chromium, shown: str) -> None:
    """From the login to a funder of the overview, past the menu by the first link."""
    chromium.log_out()
    chromium.open("/login")
    chromium.driver.switch_to.active_element.send_keys("vera", Keys.TAB, PASSWORD, Keys.ENTER)
    until(lambda: chromium.path == "/")
    chromium.one("#chart rect")
    chromium.one("body").send_keys(Keys.TAB)
    skip = chromium.driver.switch_to.active_element
    assert skip.text == "To the content"
    skip.send_keys(Keys.ENTER)
    for _ in range(3):
        chromium.driver.switch_to.active_element.send_keys(Keys.TAB)
        if chromium.driver.switch_to.active_element.tag_name == "a":
            break
    chromium.driver.switch_to.active_element.send_keys(Keys.ENTER)
    until(lambda: chromium.path.startswith("/funders/"))


def test_in_chinese(office: Office, shown: str) -> None:
    """A browser that asks for it gets it; the switch leads to English and stays there."""
    with Chromium(office.console.address, "zh-CN") as browser:
        browser.log_in("vera", "登录")
        assert browser.texts("h1") == ["总览"]
        browser.open(f"/decisions?id={DRAWDOWN}")
        assert any("该资方" in text or "借款人" in text for text in browser.texts(".decision td"))
        assert browser.barriers() == []
        browser.press("English")
        assert browser.texts("h1") == ["Decisions"]
        assert browser.path == f"/decisions?id={DRAWDOWN}"
        browser.press("Overview")
        assert browser.texts("h1") == ["Overview"]


def test_the_chart_lives(office: Office, chromium: Chromium, shown: str) -> None:
    """What is decided while one looks is counted on the page, without loading it again."""
    look(chromium, "overview", shown)
    chromium.run("window.stayed = true")
    before = int(chromium.texts("[data-total=held]")[0])
    service = office.service
    drawdown_id = f"dd-{service.number()}"
    service.tell(request(drawdown_id, now(), customer_id=service.customer()))
    service.decisions(drawdown_id)
    until(lambda: int(chromium.texts("[data-total=held]")[0].replace(",", "")) > before)
    assert chromium.run("return window.stayed") is True
    assert chromium.driver.find_elements(By.CSS_SELECTOR, "#chart .marker")
