"""What a dashboard is made of: rows of panels, each with its unit, what it tells, and its queries."""

from typing import NamedTuple

JOB = 'job="$job"'
RATE = "[$__rate_interval]"


class Query(NamedTuple):
    """One expression, what its series are called (Grafana fills in labels), and whether traces are shown with them."""

    expression: str
    legend: str
    exemplars: bool = False


class Panel(NamedTuple):
    """One graph. `unit` is Grafana's name of it."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]


class Page(NamedTuple):
    """One dashboard; its `name` is that of its file."""

    name: str
    title: str
    description: str
    rows: dict[str, tuple[Panel, ...]]


def quantile(part: float, histogram: str, by: str = "") -> str:
    """What this part of a histogram's observations did not exceed."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({part}, sum by ({labels}) (rate({histogram}_bucket{{{JOB}}}{RATE})))"


def rate(counter: str, by: str, matching: str = "") -> str:
    """A counter's growth a second, summed."""
    return f"sum by ({by}) (rate({counter}{{{', '.join(filter(None, (JOB, matching)))}}}{RATE}))"


def gathered(metric: str, by: str, how: str = "max") -> str:
    """A gauge of all workers in one."""
    return f"{how} by ({by}) ({metric}{{{JOB}}})"
