"""docs/operations.md names every variable and every metric that there is, with its default, kind and labels."""

import re

from prometheus_client.metrics import MetricWrapperBase

from config.settings import VARIABLES, Settings
from streams import metrics, synthetic
from streams.delays import DelayHistogram
from tests.docs.pages import ROOT, page, rows, section

PAGE = page("docs/operations.md")


def test_the_settings_are_those_of_the_code() -> None:
    """Each variable once, in the order of the code, with its default; nothing else is called one."""
    documented = [(name.strip("`"), default.strip("`")) for name, default, _ in rows(section(PAGE, "Settings"))]
    assert [name for name, _ in documented] == list(dict.fromkeys(variable.name for variable in VARIABLES))
    defaults = Settings().environment()
    assert dict(documented) == {name: defaults[name] for name, _ in documented}
    assert set(re.findall(r"LOANROUTER_[A-Z_]*[A-Z]", PAGE)) == {variable.name for variable in VARIABLES}


def test_the_choices_of_a_setting_are_good_values() -> None:
    """Whatever stands in code beside a variable of few values can be set."""
    meant = {name.strip("`"): meaning for name, _, meaning in rows(section(PAGE, "Settings"))}
    for name in (
        "LOANROUTER_LOG_LEVEL",
        "LOANROUTER_LOG_FORMAT",
        "LOANROUTER_CLOCK",
        "LOANROUTER_KAFKA_IDEMPOTENCE",
        "LOANROUTER_KAFKA_SASL_MECHANISM",
    ):
        choices = re.findall(r"`([^`]+)`", meant[name])
        assert choices
        for choice in choices:
            Settings.from_env({name: choice})


def test_the_metrics_are_those_registered() -> None:
    """Each metric with its labels and kind, under the name that Prometheus sees."""
    registered = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase | DelayHistogram):
            described = next(iter(metric.describe()))
            name = described.name + ("_total" if described.type == "counter" else "")
            labels = metric._labelnames if isinstance(metric, MetricWrapperBase) else ()
            registered[f"{name}{{{','.join(labels)}}}" if labels else name] = described.type
    assert {name.strip("`"): kind for name, kind, _ in rows(section(PAGE, "Metrics"))} == registered
    ours = [family for family in metrics.REGISTRY.collect() if family.name.startswith("loanrouter_")]
    assert len(registered) == len(ours)


def test_the_metrics_of_the_synthetic_borrower_are_those_registered() -> None:
    """All that it serves, with their kinds."""
    registered = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in synthetic.REGISTRY.collect()
    }
    assert {name.strip("`"): kind for name, kind, _ in rows(section(PAGE, "Synthetic borrower"))} == registered


def test_no_other_document_names_a_metric_or_variable_that_is_not_there() -> None:
    """README, compose file and the other documents use the same names."""
    known = {variable.name for variable in VARIABLES} | {"LOANROUTER_WORKERS"}  # that one is docker-compose.yml's own
    for path in ("README.md", "docker-compose.yml", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))):
        assert set(re.findall(r"LOANROUTER_[A-Z_]*[A-Z]", page(path))) <= known, path
