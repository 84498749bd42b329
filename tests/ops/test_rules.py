"""Every alert fires when it should and not otherwise, and has a runbook; the rules name what is there."""

import re
from pathlib import Path

import pytest

from tests.brokers import BrokerError
from tests.docs.pages import page, section
from tests.ops.files import CASES, FOREIGN, RULES, cases, metrics_in, rules
from tests.ops.promtool import promtool

RUNBOOKS = "docs/runbooks.md"


def test_a_machine_that_cannot_have_promtool_fails_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither it nor Debian's packages: the tests that need it fail, and do not skip."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LOANROUTER_TEST_CACHE", str(tmp_path))
    with pytest.raises(BrokerError, match="no `apt-get` on the PATH"):
        promtool("--version")


def test_prometheus_takes_the_rules() -> None:
    """`promtool check rules` finds no fault."""
    done = promtool("check", "rules", *map(str, RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_and_are_silent() -> None:
    """`promtool test rules` agrees with every case."""
    done = promtool("test", "rules", *map(str, CASES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_of_both_kinds() -> None:
    """In one case it fires, in another it does not, and no case is about an alert that is not there."""
    assert set(cases()) == {(name, fires) for name in rules("alert") for fires in (True, False)}


def test_each_alert_has_a_runbook() -> None:
    """Its `runbook_url` leads to its section, which says how it works and what to do; no section is left over."""
    text = page(RUNBOOKS)
    for name, rule in rules("alert").items():
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}#{name.lower()}"
        assert "**How it works.**" in section(text, name)
        assert re.search(r"[Ww]hat to do\.\*\*", section(text, name))
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == set(rules("alert"))


def test_each_alert_says_who_is_to_act() -> None:
    """Each of the three severities that the runbooks explain is used, and no other."""
    assert {rule["labels"]["severity"] for rule in rules("alert").values()} == {"page", "ticket", "risk"}


def test_recorded_names_are_recorded() -> None:
    """What an alert takes from a recording rule is recorded under that name, and what is recorded is used."""
    used = {name for rule in rules("alert").values() for name in metrics_in(rule["expr"]) if ":" in name}
    assert used <= set(rules("record"))


def test_other_metrics_are_known() -> None:
    """What is not ours in an alert is what Prometheus or its client gives."""
    for rule in rules("alert").values():
        foreign = set(re.findall(r"\b(up|process_\w+)\b", rule["expr"]))
        assert foreign <= FOREIGN
        assert foreign | metrics_in(rule["expr"])
