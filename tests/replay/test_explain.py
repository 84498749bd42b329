"""`loanrouter explain --log` tells of a recorded drawdown who was chosen, and for each other funder the rule in words.

The words are those of docs/reason-codes.md.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from tests.replay.logs import decided, path, records

CODES = Path(__file__).parents[2] / "docs" / "reason-codes.md"
MEANINGS = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", CODES.read_text(), re.MULTILINE))
DRAWDOWNS = sorted({value["drawdown_id"] for value in map(json.loads, decided(records("in-order")).values())})


def explain(*arguments: str, log: str = "in-order") -> Result:
    """Run `loanrouter explain` on a golden log."""
    return CliRunner().invoke(main, ["explain", *arguments, "--log", str(path(log))])


def recorded(drawdown_id: str) -> list[dict[str, Any]]:
    """The recorded decisions on a drawdown, a repeated one once, as they were made."""
    return [
        decision
        for decision in map(json.loads, decided(records("in-order")).values())
        if decision["drawdown_id"] == drawdown_id
    ]


def test_a_rotated_drawdown_in_words() -> None:
    """When, under what, why, who could have had it with which chance, and why the others could not."""
    done = explain("dd-ann-3")

    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "Drawdown dd-ann-3, attempt 1: routed to cf-north",
        "  at 2027-01-01T06:02:10.000Z (open until 2027-01-01T06:17:10.000Z),"
        " configuration revision 1, funder states 1",
        "  only_candidate: no other funder was left",
        "  candidates, best first:",
        "    cf-north                 chance of being first 100.0%",
        "  dropped:",
        "    bank-east                never_last: the funder is among the last n of the borrower's ledger",
        "    bank-east                cooldown: the funder's last drawdown of this borrower is too recent",
        "    cf-west                  cooldown: the funder's last drawdown of this borrower is too recent",
        "    trust-south              no_live_grant: the borrower has no approved, unexpired credit grant there",
    ]


@pytest.mark.parametrize("drawdown_id", DRAWDOWNS)
def test_every_dropped_funder_is_told_with_every_rule_in_words(drawdown_id: str) -> None:
    """One line for each funder and code, no other funder, and each decision with its status and rules given up."""
    done = explain(drawdown_id)

    assert done.exit_code == 0
    told = done.stdout.split("\n\n")
    assert len(told) == len(recorded(drawdown_id))
    for text, decision in zip(told, recorded(drawdown_id), strict=True):
        dropped = {
            (funder_id, code, MEANINGS[code]) for funder_id, codes in decision["excluded"].items() for code in codes
        }
        _, _, below = text.partition("  dropped:\n")
        assert set(re.findall(r"^    (\S+) +(\w+): (.+)$", below, re.MULTILINE)) == dropped
        assert f"attempt {decision['attempt']}: {decision['status']}" in text.splitlines()[0]
        for reason in decision["reasons"]:
            assert f"  {reason}: {MEANINGS[reason]}" in text.splitlines()
        assert (f"  rules given up: {', '.join(decision['relaxed'])}" in text) == bool(decision["relaxed"])


@pytest.mark.parametrize("drawdown_id", DRAWDOWNS)
def test_json_is_the_decisions_with_the_meaning_of_each_code(drawdown_id: str) -> None:
    """The fields of the record as they are, and the words for the codes in them."""
    done = explain(drawdown_id, "--json")

    assert done.exit_code == 0
    told = json.loads(done.stdout)
    meanings = [decision.pop("meanings") for decision in told]
    assert told == recorded(drawdown_id)
    for decision, words in zip(told, meanings, strict=True):
        codes = {code for codes in decision["excluded"].values() for code in codes}
        assert words == {code: MEANINGS[code] for code in codes | {*decision["reasons"], *decision["relaxed"]}}


def test_a_drawdown_s_decisions_are_told_in_the_order_in_which_they_were_made() -> None:
    """First held, then routed; a repeated request adds nothing."""
    assert [line.split(": ")[1] for line in explain("dd-bob-1").stdout.splitlines() if line.startswith("Drawdown")] == [
        "held",
        "routed to cf-west",
    ]
    assert explain("dd-ann-4").stdout.count("Drawdown dd-ann-4") == 1


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["words", "json"])
@pytest.mark.parametrize("drawdown_id", ["dd-nobody", "dd-ann", "ann", "dd-ann-4:1"])
def test_an_unknown_drawdown_ends_with_1(drawdown_id: str, options: tuple[str, ...]) -> None:
    """Also one whose id is only a part of another's, or a decision's."""
    done = explain(drawdown_id, *options)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"Error: no decision about drawdown {drawdown_id}\n"


def test_a_log_under_a_prefix_is_read_as_well(tmp_path: Path) -> None:
    """`LOANROUTER_TOPIC_PREFIX` names the topics of a log, too."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(path("in-order").read_bytes().replace(b'"topic":"', b'"topic":"team-a.'))
    run = ["explain", "dd-bob-1", "--log", str(log)]

    assert CliRunner().invoke(main, run).exit_code == 1
    assert CliRunner().invoke(main, run, env={"LOANROUTER_TOPIC_PREFIX": "team-a."}).exit_code == 0


def test_a_record_that_is_no_decision_is_told(tmp_path: Path) -> None:
    """A drawdown is not explained by half."""
    log = tmp_path / "log.jsonl"
    line = b'{"topic":"routing-decisions","timestamp":1,"key":"bob","value":{"drawdown_id":"dd-bob-1"}}\n'
    log.write_bytes(path("in-order").read_bytes() + line)

    done = CliRunner().invoke(main, ["explain", "dd-bob-1", "--log", str(log)])

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: routing-decisions holds what is no decision: ")
