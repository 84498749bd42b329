"""A change of the rotation as risk officers make it in the browser: from a mistake to a decision, and back again."""

import time

import msgspec

from rotation.outputs import Decision
from rotation.rules import meanings
from tests.console.chromium import Chromium
from tests.console.conftest import Office
from tests.processes import until
from tests.rotation.world import grant, request
from tests.worker.service import Service, now

BARRED = "cf-north"  # tests of the pages accuse cf-west


def route(service: Service, partition: int) -> Decision:
    """Ask for a drawdown of a new borrower with grants of every funder; gives the decision."""
    customer_id, drawdown_id, at = service.customer(partition), f"dd-{service.number()}", now()
    service.tell(*(grant(funder["id"], at, customer_id=customer_id) for funder in service.document["funders"]))
    service.tell(request(drawdown_id, at, customer_id=customer_id))
    return service.decisions(drawdown_id)[-1]


def change_line(chromium: Chromium, old: str, new: str) -> int:
    """Type over a piece of the editor's text; gives its line."""
    select = """
      const text = document.getElementById("text"), at = text.value.indexOf(arguments[0]);
      text.focus(); text.setSelectionRange(at, at + arguments[0].length);
      return text.value.slice(0, at).split("\\n").length;
    """
    line = chromium.run(select, old)
    chromium.one("#text").send_keys(new)
    return int(line)


def test_a_change_from_a_mistake_to_a_decision_and_back(office: Office, chromium: Chromium) -> None:
    """The mistake is told at its line; nobody approves their own; another one does, and both workers follow at once."""
    service = office.service
    first = service.workers.metric("one", "loanrouter_config_revision")
    chromium.log_in("max")
    chromium.press("Configuration")
    chromium.press("Propose a change")
    chromium.until_said("#problems", "No problem found.")
    chromium.until_said("#changes", "Nothing is changed yet.")

    line = change_line(chromium, "weight: 3", "weight: 0")
    problem = "funders[0].weight: must be a number above 0 and at most 1000000, but is 0"
    chromium.until_said("#problems li", f"line {line}: {problem}")
    assert chromium.one("#text").get_attribute("aria-invalid") == "true"
    assert chromium.texts("#lines .wrong") == [f"✗{line:>4}".strip()]
    chromium.said(f"line {line}").click()
    selected = chromium.run("return [text.selectionStart, text.selectionEnd].map((n) => text.value.slice(0, n))")
    assert [len(part.split("\n")) for part in selected] == [line, line]
    chromium.fill("reason", "east lends more")
    chromium.press("Propose")
    assert chromium.texts("#problems li") == [f"line {line}: {problem}"]

    change_line(chromium, "weight: 0", "weight: 4")
    chromium.until_said("#problems", "No problem found.")
    chromium.until_said("#changes", "bank-east: weight 3 → 4")
    chromium.press("Propose")
    draft = chromium.path
    assert draft.startswith("/configuration/drafts/")
    assert "bank-east weight 3 → 4" in chromium.texts(".changes li")

    chromium.press("What would it have done?")
    chromium.press("Try it on recorded traffic")
    until(lambda: "Run by max" in chromium.texts("main p"), 120)
    drawn = "return [...document.querySelectorAll('img.plot')].filter((each) => each.naturalWidth > 100).length"
    until(lambda: chromium.run(drawn) == 3)
    assert "Funders" in chromium.texts("h2")
    assert chromium.barriers() == []
    assert not chromium.overflows()

    chromium.open(draft)
    chromium.press("Approve")
    assert "max wrote" in chromium.texts("[role=alert]")[0]
    assert "Activate now" not in chromium.texts("main button")

    chromium.log_in("april")
    chromium.open(draft)
    chromium.press("Approve")
    assert "april" in chromium.texts(".facts dd")

    chromium.log_in("otto")
    chromium.open(draft)
    chromium.press("Activate now")
    activated = time.monotonic()
    assert f"Active: revision {first + 1:.0f}" in chromium.texts("h2")
    until(lambda: all(service.workers.metric(name, "loanrouter_config_revision") > first for name in ("one", "two")), 2)
    made = [route(service, partition) for partition in range(service.settings.partitions)]
    assert {decision.config_revision for decision in made} == {first + 1}
    assert time.monotonic() - activated < 10

    explains(chromium, made[0])

    chromium.open("/configuration")
    chromium.choose("to", f"revision {first:.0f}")
    chromium.fill("reason", "worse than before")
    chromium.press("Roll back")
    assert f"Active: revision {first + 2:.0f}" in chromium.texts("h2")
    until(lambda: service.workers.metric("one", "loanrouter_config_revision") == first + 2, 2)
    again = route(service, 0)
    assert again.config_revision == first + 2
    assert again.config_sha256 != made[0].config_sha256
    chromium.open(f"/configuration/revisions/{first + 2:.0f}")
    assert "bank-east weight 4 → 3" in chromium.texts(".changes li")


def explains(chromium: Chromium, decision: Decision) -> None:
    """The explorer shows the decision: who was chosen, with which chance, and the others' reasons in words."""
    path = f"/decisions?id={decision.drawdown_id}"

    def found() -> bool:
        chromium.open(path)
        return bool(chromium.texts("tr.chosen"))

    until(found)
    (chosen,) = chromium.texts("tr.chosen")
    assert chosen.split()[:2] == [decision.funder_id, f"{decision.candidates[0].propensity:.1%}"]
    rows = chromium.texts(".decision tbody tr")
    assert len(rows) == len(decision.candidates) + len(decision.excluded)
    for funder_id, codes in decision.excluded.items():
        (row,) = (row for row in rows if row.startswith(funder_id))
        assert all(f"{code} {meanings()[code]}" in row for code in codes)
    assert f"revision {decision.config_revision}" in chromium.texts(".decision p a")


def test_the_explorer_tells_why_the_others_were_dropped(office: Office, chromium: Chromium) -> None:
    """Of a borrower's second drawdown, which rotation sends elsewhere; and what no memory at all would change."""
    service = office.service
    customer_id, at = service.customer(), now()
    service.tell(*(grant(funder["id"], at, customer_id=customer_id) for funder in service.document["funders"]))
    made = []
    for number in (1, 2):
        service.tell(request(f"dd-{customer_id}-{number}", now(), customer_id=customer_id))
        made += service.decisions(f"dd-{customer_id}-{number}")
    assert "never_last" in made[1].excluded[made[0].funder_id or ""]

    chromium.log_in("vera")
    explains(chromium, made[1])
    assert chromium.texts(".supposed li") == ["never_last 0: the same funder"]  # the cooldown bars the other one too
    chromium.press(customer_id)
    told = chromium.texts(".timeline .event-routing-decisions strong")
    assert told == [f"routed → {decision.funder_id}" for decision in reversed(made)]
    assert len(chromium.texts(".timeline .event-credit-grants")) == 4


def test_a_funder_is_paused_and_resumed_with_a_reason(office: Office, chromium: Chromium) -> None:
    """By an operator; from then on no drawdown goes there, and the page says who did it and why."""
    service = office.service
    chromium.log_in("otto")
    chromium.open(f"/funders/{BARRED}")
    chromium.fill("reason", "a canary was called")
    chromium.press("Pause: no drawdown from now on")
    assert "paused by configuration" in chromium.texts(".facts .state")
    assert any("pause, otto: a canary was called" in text for text in chromium.texts("section li"))

    service.revision = _active(office)
    service.wait_guided()
    assert route(service, 0).excluded[BARRED] == ["funder_paused"]

    chromium.fill("reason", "it was our own call")
    chromium.press("Resume: drawdowns again")
    assert "paused by configuration" not in chromium.texts(".facts .state")
    service.revision = _active(office)
    service.wait_guided()


def _active(office: Office) -> int:
    """The active revision, as the overview's figures tell it."""
    figures = msgspec.json.decode(office.console.seated("vera").get("/live").text)
    return int(figures["revision"])
