"""Writes the dashboards as Grafana reads them, `ops/grafana/dashboards/*.json`: `./dev dashboards`."""

import json
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, VariableRefresh

from ops.capture import CAPTURE
from ops.panels import Page, Panel, Query
from ops.rotation import ROTATION
from ops.service import SERVICE

PAGES = (SERVICE, ROTATION, CAPTURE)

FOLDER = Path(__file__).with_name("grafana") / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="$source")
#: On every graph, when the configuration changed.
MARKER = 'max(changes(loanrouter_config_revision{job="$job"}[$__rate_interval])) > 0'
COLUMNS = 24


def document(page: Page) -> str:
    """One dashboard as JSON."""
    board = (
        dashboard.Dashboard(page.title)
        .uid(f"loanrouter-{page.name}")
        .description(page.description)
        .tags(["loanrouter"])
        .timezone("Asia/Shanghai")
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("source").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("job")
            .label("Installation")
            .datasource(SOURCE)
            .query("label_values(loanrouter_partitions, job)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
        .annotation(
            dashboard.AnnotationQuery()
            .name("Configuration")
            .datasource(SOURCE)
            .enable(True)
            .icon_color("blue")
            .expr(MARKER)
        )
    )
    for title, panels in page.rows.items():
        board = board.with_row(dashboard.Row(title))
        for panel in panels:
            board = board.with_panel(_graph(panel, COLUMNS // min(len(panels), 4)))
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def _graph(panel: Panel, width: int) -> timeseries.Panel:
    graph = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .height(8)
        .span(width)
        .fill_opacity(10)
    )
    for query in panel.queries:
        graph = graph.with_target(_target(query))
    return graph


def _target(query: Query) -> prometheus.Dataquery:
    shown = prometheus.Dataquery().expr(query.expression).legend_format(query.legend).range()
    return shown.exemplar(query.exemplars)


def write() -> None:
    """Write all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        (FOLDER / f"{page.name}.json").write_text(document(page), encoding="utf-8")


if __name__ == "__main__":
    write()
