"""A scenario: what the borrowers of a study are like, and what each funder is up to. The ground truth.

Read from YAML as strictly as a rotation configuration: whatever is impossible is refused with file, line and key.
"""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Annotated, Literal

import msgspec

from config.document import read_yaml
from config.load import build, load_document, parse_config
from config.problems import ConfigError, Finding, Problem, located
from config.revisions import first_revision
from config.rotation import Region, Revision, RiskGrade

Chance = Annotated[float, msgspec.Meta(ge=0, le=1, description="a chance from 0 to 1")]
Factor = Annotated[float, msgspec.Meta(ge=0, le=100, description="a factor from 0 to 100")]
Day = Annotated[int, msgspec.Meta(ge=0, le=3650, description="a whole number of days, from 0 to 3650")]
Days = Annotated[float, msgspec.Meta(gt=0, le=3650, description="days, above 0 and at most 3650")]
Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="a text that is not blank")]
Behaviour = Literal["honest", "tightening", "immediate", "offline"]
#: Grades whose borrowers may be good, and so worth capturing.
GOOD_GRADES: tuple[RiskGrade, ...] = ("A", "B")
SHIPPED = files("market.study") / "scenarios"


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Hazard(_Section, frozen=True):
    """The chance that a funder at work captures a good borrower, at one drawdown that is routed to it.

    `exposure_hazard` is for any borrower it sees; `depth_hazard` is added for the deepest relationship, and less
    for others. An offline campaign also reaches holders of a mere line, with `grant_hazard`, once. Staff are called
    and borrowers complain by the attempts, of which there are `attempts_per_capture`.
    """

    exposure_hazard: Chance = 0.055
    depth_hazard: Chance = 0.06
    grant_hazard: Chance = 0.003
    attempts_per_capture: Annotated[float, msgspec.Meta(ge=1, le=100, description="a number from 1 to 100")] = 2.5
    report_rate: Chance = 0.02
    false_contact_rate: Chance = 0.002
    false_report_rate: Chance = 0.0003


class Population(_Section, frozen=True):
    """Borrowers: when they come back, why they stay away by themselves, and who of them is good.

    A borrower's own mean gap lies between the two `gap_days`; no gap is under a quarter of it. `present` is the
    share that is known on day 0, the others arrive over time. `churn` is the chance at each visit that it is the last.
    """

    gap_days: tuple[Days, Days] = (30.0, 45.0)
    present: Chance = 0.6
    churn: Chance = 0.03
    canaries: Chance = 0.005
    good_quality: Chance = 0.78
    settles_early: Chance = 0.06
    follows_advice: Chance = 0.9


class Service(_Section, frozen=True):
    """The funders' technique: how often it fails by itself, and for how long it is out."""

    failure_rate: Chance = 0.01
    outages_a_year: Factor = 6.0
    outage_hours: Factor = 3.0
    approves: Chance = 0.85


class Conduct(_Section, frozen=True):
    """What one funder does from `from_day` on.

    `tightening` lowers its pass rate by `drop`. The others capture: `immediate` at the drawdown, of `borrowers` that
    are new or returning to it; `offline` by campaigns 5 to 35 days after. `intensity` multiplies the hazard.
    `regions` and `grades` confine it; `on_days` and `off_days` make it intermittent; `most_drop` is what its
    pass rate falls by at most over 30 days; staff are recognised but for a share of `canary_misses`.
    """

    behaviour: Behaviour
    from_day: Day = 30
    drop: Chance = 0.08
    intensity: Factor = 1.0
    borrowers: Literal["new", "returning", "both"] = "both"
    regions: list[Region] | None = None
    grades: list[RiskGrade] | None = None
    on_days: Day | None = None
    off_days: Day | None = None
    most_drop: Chance | None = None
    canary_misses: Chance = 1.0

    @property
    def captures(self) -> bool:
        """Whether it takes borrowers at all."""
        return self.behaviour in ("immediate", "offline")


class Scenario(_Section, frozen=True):
    """The whole document. Funders that it does not name are honest."""

    schema: Literal[1]
    name: Text
    summary: Text
    hazard: Hazard = Hazard()
    population: Population = Population()
    service: Service = Service()
    funders: dict[str, object] = {}
    conduct: dict[str, Conduct] = {}

    def capturing(self) -> list[str]:
        """The funders that take borrowers."""
        return [funder_id for funder_id, conduct in self.conduct.items() if conduct.captures]


def shipped() -> list[str]:
    """The names of the scenarios that come with the product."""
    return sorted(entry.name.removesuffix(".yaml") for entry in SHIPPED.iterdir() if entry.name.endswith(".yaml"))


def load_scenario(name: str, configuration: Revision) -> Scenario:
    """The shipped scenario of that name, or the one in that file; raises `ConfigError` with file, line and key."""
    path = FilePath(name)
    try:
        inside = name in shipped()
        text = (SHIPPED / f"{name}.yaml").read_text("utf-8") if inside else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        known = ", ".join(shipped())
        raise ConfigError([Problem(name, None, "", f"no such file; shipped scenarios are {known}")]) from None
    return read_scenario(text, f"{name}.yaml" if inside else name, configuration)


def read_scenario(text: str, source: str, configuration: Revision) -> Scenario:
    """The scenario in a YAML text, for the funders of a configuration; raises `ConfigError` with line and key."""
    document = read_yaml(text, source)
    value = document.value
    findings: list[Finding] = []
    conducts: dict[str, Conduct] = {}
    if isinstance(value, dict) and "conduct" in value:
        findings.append(Finding(("conduct",), "unknown key; did you mean funders?"))
    scenario, found = build(value, Scenario)
    findings += found
    named = value.get("funders") if isinstance(value, dict) else None
    for funder_id, given in (named if isinstance(named, dict) else {}).items():
        conduct, found = build(given, Conduct)
        findings += [Finding(("funders", funder_id, *path), reason) for path, reason in found]
        if conduct is not None:
            conducts[funder_id] = conduct
    if scenario is not None:
        findings += _contradictions(scenario, conducts, [funder.id for funder in configuration.config.funders])
    problems = document.problems + located(findings, source, document.lines)
    if problems or scenario is None:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line or 0))
    return msgspec.structs.replace(scenario, conduct=conducts)


def varied(scenario: Scenario, key: str, value: float) -> Scenario:
    """The scenario with another number at `key`, such as `hazard.depth_hazard`; its name tells.

    Raises:
        ConfigError: there is no such number, or the value is impossible.
    """
    section, _, name = key.partition(".")
    sections: dict[str, type[_Section]] = {"hazard": Hazard, "population": Population, "service": Service}
    source = f"{key}={value:g}"
    if section not in sections or name not in sections[section].__struct_fields__:
        known = ", ".join(f"{part}.{field}" for part, kind in sections.items() for field in kind.__struct_fields__)
        raise ConfigError([Problem(source, None, key, f"cannot be varied; known are {known}")])
    document = msgspec.to_builtins(getattr(scenario, section)) | {name: value}
    built, findings = build(document, sections[section])
    if built is not None:
        scenario = msgspec.structs.replace(scenario, name=f"{scenario.name} {source}", **{section: built})
        findings += _contradictions(scenario, {}, [])
    if findings:
        raise ConfigError(located(findings, source, {}))
    return scenario


def _contradictions(scenario: Scenario, conducts: dict[str, Conduct], known: list[str]) -> Iterable[Finding]:
    shortest, longest = scenario.population.gap_days
    if shortest > longest:
        yield Finding(("population", "gap_days"), f"the shortest ({shortest:g}) is above the longest ({longest:g})")
    if scenario.hazard.exposure_hazard + scenario.hazard.depth_hazard > 1:
        yield Finding(("hazard", "depth_hazard"), "with exposure_hazard it comes to a chance above 1")
    for funder_id in scenario.funders if known else ():
        if funder_id not in known:
            yield Finding(("funders", funder_id), f"no such funder; configured are {', '.join(known)}")
    for funder_id, conduct in conducts.items():
        if (conduct.on_days is None) != (conduct.off_days is None):
            yield Finding(("funders", funder_id, "on_days"), "goes together with off_days")
        elif conduct.on_days == 0:
            yield Finding(("funders", funder_id, "on_days"), "must be at least 1")
        for key, reason in _impossible(conduct):
            yield Finding(("funders", funder_id, key), reason)
    if known and len([1 for conduct in conducts.values() if conduct.captures]) == len(known):
        yield Finding(("funders",), "every funder captures: there is nobody to turn to")


def _impossible(conduct: Conduct) -> Iterable[tuple[str, str]]:
    """What keeps a funder from ever doing what is said of it: keys, and why."""
    for key, confined in (("regions", conduct.regions), ("grades", conduct.grades)):
        if confined == []:
            yield key, "names none; leave it out for all"
    if not conduct.captures:
        return
    if conduct.grades and not set(conduct.grades) & set(GOOD_GRADES):
        yield "grades", f"nobody there is captured: good borrowers are of {' or '.join(GOOD_GRADES)}"
    for key, value in (("intensity", conduct.intensity), ("most_drop", conduct.most_drop)):
        if value == 0:
            yield key, "must be above 0 for a funder that captures"


def study_configuration(path: FilePath | None = None) -> Revision:
    """The rotation configuration of a study: the shipped one with ten funders, or a file. Raises `ConfigError`."""
    given = files("market.study") / "rotation.yaml" if path is None else path
    try:
        text = given.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError([Problem(str(path), None, "", "cannot be read")]) from None
    return first_revision(load_document(text, str(path or "rotation.yaml")))


def scaled(configuration: Revision, share: float) -> Revision:
    """The configuration with its quotas times `share`, for a smaller or larger market than it was written for.

    In a smaller one each keeps room for three drawdowns and for the largest, where it was configured to have it.
    """
    document = msgspec.to_builtins(configuration.config)
    for funder in document["funders"]:
        quota = funder["quota"]
        for key, room in (("daily_amount", funder["amount"][1]), ("daily_count", 3)):
            quota[key] = max(round(quota[key] * share), min(quota[key], room) if share < 1 else 0)
    return configuration_of(document)


def configuration_of(document: dict[str, object]) -> Revision:
    """The first revision of a document of plain values, without what is not set."""
    pruned = _pruned(document)
    parse_config(pruned)
    assert isinstance(pruned, dict)
    return first_revision(pruned)


def _pruned(value: object) -> object:
    if isinstance(value, dict):
        return {key: _pruned(part) for key, part in value.items() if part is not None}
    return [_pruned(part) for part in value] if isinstance(value, list | tuple) else value
