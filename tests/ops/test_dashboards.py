"""The dashboards are those of the code, say what they show, and ask Prometheus for nothing that it cannot give."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.dashboards import PAGES, document
from tests.ops.files import DASHBOARDS, metrics_in, panels, rules, shown
from tests.ops.promtool import promtool


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each dashboard as Grafana reads it."""
    found: dict[str, Any] = json.loads(request.param.read_text())
    return found


def test_the_files_are_those_of_the_code() -> None:
    """`./dev dashboards` would change nothing."""
    assert {path.stem: path.read_text(encoding="utf-8") for path in DASHBOARDS} == {
        page.name: document(page) for page in PAGES
    }


def test_each_panel_explains_itself(board: dict[str, Any]) -> None:
    """It has a title that no other panel has, a description, a unit, and a name for every series."""
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles) > 0
    for panel in panels(board):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_a_dashboard_fits_every_installation(board: dict[str, Any]) -> None:
    """Source and job are chosen by whoever looks, windows follow the zoom, and no two dashboards share an address."""
    assert [variable["name"] for variable in board["templating"]["list"]] == ["source", "job"]
    for panel in panels(board):
        assert panel["datasource"] == {"type": "prometheus", "uid": "$source"}
        for target in panel["targets"]:
            assert 'job="$job"' in target["expr"]
            assert target["expr"].count("[") == target["expr"].count("[$__rate_interval]")


def test_panels_do_not_overlap(board: dict[str, Any]) -> None:
    """Each cell of the grid, 24 wide, belongs to one panel at most."""
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in board["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_prometheus_understands_each_expression(tmp_path: Path) -> None:
    """As rules, which `promtool check rules` parses."""
    file = tmp_path / "shown.yml"
    found = [{"record": f"shown:{number}", "expr": each} for number, each in enumerate(shown())]
    file.write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": found}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_recorded_names_are_recorded() -> None:
    """What a panel takes from a recording rule is recorded under that name."""
    assert {name for each in shown() for name in metrics_in(each) if ":" in name} <= set(rules("record"))


def test_nothing_is_recorded_for_nobody() -> None:
    """Each recording rule is used by an alert or a panel."""
    alerts = [rule["expr"] for rule in rules("alert").values()]
    used = {name for each in (*shown(), *alerts) for name in metrics_in(each)}
    assert set(rules("record")) <= used
