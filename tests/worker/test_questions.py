"""What people ask of a live broker on the command line, in JSON, with exit codes."""

import json
from pathlib import Path
from typing import Any

from tests.processes import loanrouter
from tests.rotation.world import grant, request
from tests.worker.conftest import examples
from tests.worker.letters import refuse
from tests.worker.service import TRACE, Service, funder, item_of


def run(service: Service, *arguments: str, code: int = 0) -> Any:
    """What a command prints as JSON; it must end with `code`."""
    done = loanrouter(*arguments, "--json", **service.settings.environment())
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_explain(stream: Service) -> None:
    """All decisions of a drawdown, each once, with what each of their codes means; an unknown drawdown ends with 1."""
    decisions = run(stream, "explain", "dd-3")
    assert [decision["decision_id"] for decision in decisions] == ["dd-3:1:held", "dd-3:1"]
    assert all(decisions[0]["meanings"][code] for code in ("no_live_grant", "never_last", "max_share"))
    assert decisions[1]["funder_id"] == "cf-west"
    unknown = loanrouter("explain", "dd-none", **stream.settings.environment())
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "dd-none" in unknown.stderr


def test_dead_letters_list(stream: Service) -> None:
    """Counts by reason, and where each record came from; whose it was only when asked for."""
    listed = run(stream, "dead-letters", "list", "--limit", "100000")
    reasons = [line["reason"] for line in examples("bad.jsonl")]
    for reason in set(reasons):
        assert listed["reasons"][reason] >= reasons.count(reason)
    assert sum(listed["reasons"].values()) == len(listed["dead_letters"])
    assert "cust-b" not in json.dumps(listed)
    only = ("--reason", "unknown_drawdown", "--topic", "drawdown-outcomes")
    (*_, letter) = run(stream, "dead-letters", "list", *only, "--content", "--limit", "1")["dead_letters"]
    assert letter["source"]["topic"] == stream.settings.topic_prefix + "drawdown-outcomes"
    assert json.loads(letter["value"])["drawdown_id"]


def test_a_dead_letter_is_re_driven(stream: Service) -> None:
    """What a new funder kept out is accepted once the configuration knows it, with its own key, headers and content.

    A second run would re-drive only what was refused again.
    """
    customer_id, at = stream.customer(), stream.day()
    refuse(stream, item_of(grant("newcomer", at, customer_id=customer_id), TRACE), "unknown_funder")
    stream.settle(customer_id)
    stream.tell(request("dd-newcomer", at + 1, customer_id=customer_id))
    stream.decisions("dd-newcomer")
    command = ("dead-letters", "replay", "--reason", "unknown_funder", "--topic", "credit-grants")

    def add(document: dict[str, Any]) -> None:
        document["funders"].append(funder(document, "cf-west") | {"id": "newcomer"})

    with stream.configured(add):
        planned = run(stream, *command, "--dry-run")
        stream.settle(customer_id)
        assert len(stream.values("dd-newcomer")) == 1
        done = run(stream, *command, "--yes")
        _, routed = stream.decisions("dd-newcomer", 2)
    stream.settle("cust-b")
    rest = run(stream, *command, "--dry-run")
    assert (planned["redriven"], done["redriven"]) == (0, planned["reasons"]["unknown_funder"])
    assert rest["reasons"]["unknown_funder"] == done["redriven"] - 1
    assert routed.funder_id == "newcomer"
    (told,) = (r for r in stream.said("routing-decisions") if r.value == stream.values("dd-newcomer")[1])
    assert [each for each in told.headers if each in TRACE] == list(TRACE)


def test_replay(stream: Service, tmp_path: Path) -> None:
    """The decisions of the live topics are made again byte for byte; one byte changed in a saved log is found."""
    log = tmp_path / "log.jsonl"
    stream.catch_up()
    live = run(stream, "replay", "--check", "--save", str(log))
    recorded = {json.loads(r.value or b"")["decision_id"] for r in stream.said("routing-decisions")}
    assert live == {"decisions": len(recorded), "recorded": len(recorded), "differing": []}
    lines = log.read_text().splitlines()
    (number,) = (n for n, line in enumerate(lines) if '"decision_id":"dd-3:1",' in line)
    lines[number] = lines[number].replace('"relaxed":[]', '"relaxed":["cooldown"]')
    log.write_text("\n".join(lines))
    assert run(stream, "replay", "--check", str(log), code=1)["differing"] == ["dd-3:1"]
