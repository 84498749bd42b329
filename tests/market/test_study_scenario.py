"""The law of scenario files: whatever is impossible is refused, with its file, line and key."""

import msgspec
import pytest

from config.problems import ConfigError
from market.study.scenario import configuration_of, load_scenario, read_scenario, scaled, study_configuration, varied

CONFIGURATION = study_configuration()
HEAD = "schema: 1\nname: mine\nsummary: a scenario\n"


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("hazard: {exposure_hazard: 1.5}", "hazard.exposure_hazard"),
        ("hazard: {exposure_hazard: 0.6, depth_hazard: 0.6}", "hazard.depth_hazard"),
        ("hazard: {attempts_per_capture: 0.5}", "hazard.attempts_per_capture"),
        ("hazard: {luck: 1}", "hazard.luck"),
        ("population: {gap_days: [45, 30]}", "population.gap_days"),
        ("population: {gap_days: [0, 30]}", "population.gap_days[0]"),
        ("population: {churn: -0.1}", "population.churn"),
        ("service: {outage_hours: many}", "service.outage_hours"),
        ("funders: {bank-z: {behaviour: honest}}", "funders.bank-z"),
        ("funders: {bank-a: {behaviour: greedy}}", "funders.bank-a.behaviour"),
        ("funders: {bank-a: {from_day: 3}}", "funders.bank-a.behaviour"),
        ("funders: {bank-a: {behaviour: immediate, from_day: -1}}", "funders.bank-a.from_day"),
        ('funders: {bank-a: {behaviour: immediate, regions: ["999999"]}}', "funders.bank-a.regions[0]"),
        ("funders: {bank-a: {behaviour: immediate, on_days: 5}}", "funders.bank-a.on_days"),
        ("funders: {bank-a: {behaviour: immediate, on_days: 0, off_days: 5}}", "funders.bank-a.on_days"),
        ("funders: {bank-a: {behaviour: immediate, most_drop: 2}}", "funders.bank-a.most_drop"),
        ("funders: {bank-a: {behaviour: immediate, most_drop: 0}}", "funders.bank-a.most_drop"),
        ("funders: {bank-a: {behaviour: offline, intensity: 0}}", "funders.bank-a.intensity"),
        ("funders: {bank-a: {behaviour: immediate, regions: []}}", "funders.bank-a.regions"),
        ("funders: {bank-a: {behaviour: immediate, grades: []}}", "funders.bank-a.grades"),
        ("funders: {bank-a: {behaviour: immediate, grades: [C, E]}}", "funders.bank-a.grades"),
        ("funders: {bank-a: null}", "funders.bank-a"),
        ("funders: [bank-a]", "funders"),
        ("conduct: {}", "conduct"),
    ],
)
def test_what_is_impossible_is_refused_with_its_key(body: str, key: str) -> None:
    """One problem, on the line of the key, that names the file."""
    with pytest.raises(ConfigError) as refused:
        read_scenario(HEAD + body + "\n", "mine.yaml", CONFIGURATION)
    (problem,) = refused.value.problems
    assert problem.key.replace("'", "") == key
    assert (problem.source, problem.line) == ("mine.yaml", 4)


@pytest.mark.parametrize(
    ("configured", "share", "scaled_to"),
    [
        ((0, 0), 0.01, (0, 0)),
        ((0, 0), 1, (0, 0)),
        ((60_000, 1), 0.01, (60_000, 1)),
        ((60_000, 1), 1, (60_000, 1)),
        ((60_000, 1), 2, (120_000, 2)),
        ((80_000_000, 160), 0.005, (5_000_000, 3)),
        ((80_000_000, 160), 0.5, (40_000_000, 80)),
    ],
)
def test_quotas_shrink_with_the_market_but_never_grow_in_it(
    configured: tuple[int, int], share: float, scaled_to: tuple[int, int]
) -> None:
    """A small market keeps room for three drawdowns and the largest, where so much was configured."""
    document = msgspec.to_builtins(CONFIGURATION.config)
    document["funders"][0]["quota"] = dict(zip(("daily_amount", "daily_count"), configured, strict=True))
    quota = scaled(configuration_of(document), share).config.funders[0].quota
    assert (quota.daily_amount, quota.daily_count) == scaled_to


def test_every_funder_capturing_is_refused() -> None:
    """There would be nobody to turn to."""
    funders = "".join(f"  {f.id}: {{behaviour: immediate}}\n" for f in CONFIGURATION.config.funders)
    with pytest.raises(ConfigError, match="funders: every funder captures"):
        read_scenario(HEAD + "funders:\n" + funders, "mine.yaml", CONFIGURATION)


def test_a_name_that_is_neither_shipped_nor_a_file_is_refused() -> None:
    """The message lists what is shipped."""
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file; shipped scenarios are all_honest"):
        load_scenario("nowhere.yaml", CONFIGURATION)


def test_a_varied_scenario_differs_in_one_number_and_says_so() -> None:
    """For a sweep: each point has a name of its own."""
    mixed = load_scenario("mixed", CONFIGURATION)
    deeper = varied(mixed, "hazard.depth_hazard", 0.3)
    assert deeper.name == "mixed hazard.depth_hazard=0.3"
    assert deeper.hazard.depth_hazard == 0.3
    assert deeper.hazard.exposure_hazard == mixed.hazard.exposure_hazard
    assert deeper.conduct == mixed.conduct


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("hazard.luck", 1, "hazard.luck: cannot be varied; known are hazard.exposure_hazard"),
        ("hazard", 1, "hazard: cannot be varied"),
        ("service.approves", 1.5, "approves: must be a chance from 0 to 1, but is 1.5"),
        ("hazard.depth_hazard", 1.0, "hazard.depth_hazard: with exposure_hazard it comes to a chance above 1"),
    ],
)
def test_an_impossible_variation_is_refused(key: str, value: float, says: str) -> None:
    """With its key."""
    with pytest.raises(ConfigError) as refused:
        varied(load_scenario("mixed", CONFIGURATION), key, value)
    assert says in str(refused.value)
