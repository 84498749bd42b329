"""What is in `ops/`, as the tests read it."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "ops" / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "ops" / "grafana" / "dashboards").glob("*.json"))
CASES = sorted((PROMETHEUS / "cases").glob("*.yml"))

#: What Prometheus itself and the collector of its client library tell of a worker.
FOREIGN = {"up", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """Every rule of a kind, `alert` or `record`, by its name."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return {rule[kind]: rule for group in groups for rule in group["rules"] if kind in rule}


def metrics_in(expression: str) -> set[str]:
    """The names of our metrics, recorded ones too, in an expression."""
    return set(re.findall(r"\bloanrouter[:_][a-z0-9_:]+", expression))


def cases() -> list[tuple[str, bool]]:
    """Of every case the alert, and whether it is to fire."""
    tests = [test for path in CASES for test in yaml.safe_load(path.read_text())["tests"]]
    return [(check["alertname"], bool(check["exp_alerts"])) for test in tests for check in test["alert_rule_test"]]


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """The graphs of a dashboard, without its row headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def shown() -> list[str]:
    """Every expression of the dashboards, with Grafana's variables filled in."""
    boards = [json.loads(path.read_text()) for path in DASHBOARDS]
    found = [target["expr"] for board in boards for panel in panels(board) for target in panel["targets"]]
    found += [each["expr"] for board in boards for each in board["annotations"]["list"]]
    return [each.replace("$job", "loanrouter").replace("$__rate_interval", "1m") for each in found]
