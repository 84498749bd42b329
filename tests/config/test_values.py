"""What a risk officer can get wrong in a value is refused with a reason that says what it must be."""

from typing import Any

import pytest

from config.load import parse_config
from tests.config.shipped import Told, changed, edited, line_of, problems

FEN = "a whole number of fen, at least 0 and below 2^53"
HOURS = 'Shanghai opening hours in quotes, such as "06:00-23:00"'
PROVINCE = 'a GB/T 2260 province code in quotes, such as "310000"'
ID = "an id of 1 to 64 letters, digits, dots, underscores, colons or hyphens"
TIME = 'an RFC 3339 time with zone, such as "2026-11-01T00:00:00+08:00"'
AS_OF = 'as_of: "2026-11-01T00:00:00+08:00"'
OPEN = 'open: "06:00-23:00"'
REGIONS = 'regions: ["310000", "320000", "330000"]'
RULES = "one of capture_risk, cooldown, exposure_budget, max_share, never_last"

#: old text, new text, key, what it must be, what it is
REFUSED = [
    # numbers: kind, sign, bounds
    ("schema: 1", "schema: 2", "schema", "1", "2"),
    ("schema: 1", "schema: true", "schema", "1", "true"),
    ("schema: 1", "schema: 1.0", "schema", "1", "1.0"),
    ("schema: 1", 'schema: "1"', "schema", "1", 'the text "1"'),
    ("n: 1", "n: 0", "rotation.never_last.n", "a whole number of at least 1", "0"),
    ("n: 1", "n: true", "rotation.never_last.n", "a whole number of at least 1", "true"),
    ("of_last: 5", "of_last: 1", "rotation.max_share.of_last", "a whole number from 2 to 1000", "1"),
    ("at_most: 0.4", "at_most: 0", "rotation.max_share.at_most", "a number above 0 and at most 1", "0"),
    ("at_most: 0.4", "at_most: 40", "rotation.max_share.at_most", "a number above 0 and at most 1", "40"),
    ("days: 14", "days: 0", "rotation.cooldown.days", "a number above 0 and at most 3650", "0"),
    ("days: 14", "days: 14d", "rotation.cooldown.days", "a number above 0 and at most 3650", 'the text "14d"'),
    (
        "within_days: 180",
        "within_days: -1",
        "rotation.exposure_budget.within_days",
        "a number above 0 and at most 3650",
        "-1",
    ),
    ("{funders: 5", "{funders: 0", "rotation.exposure_budget.funders", "a whole number of at least 1", "0"),
    ("min_live_grants: 3", "min_live_grants: -1", "rotation.min_live_grants", "a whole number of at least 0", "-1"),
    ("exponent: 1.0", "exponent: -1", "selection.pass_rate_exponent", "a number from 0 to 10", "-1"),
    ("exploration: 0.05", "exploration: 1.01", "selection.exploration", "a number from 0 to 1", "1.01"),
    ("exploration: 0.05", "exploration: true", "selection.exploration", "a number from 0 to 1", "true"),
    ("exploration: 0.05", 'exploration: "0.05"', "selection.exploration", "a number from 0 to 1", 'the text "0.05"'),
    ("exploration: 0.05", "exploration: .nan", "selection.exploration", "a number from 0 to 1", "no finite number"),
    ("exploration: 0.05", "exploration: .inf", "selection.exploration", "a number from 0 to 1", "no finite number"),
    ("window_days: 30", "window_days: 0", "pass_rate_window_days", "a whole number from 1 to 3650", "0"),
    ("window_days: 30", "window_days: 30.0", "pass_rate_window_days", "a whole number from 1 to 3650", "30.0"),
    ("{max: 2}", "{max: 0}", "attempts.max", "a whole number of at least 1", "0"),
    ("seconds: 900", "seconds: 0", "holding.seconds", "whole seconds, from 1 to a year of 31536000", "0"),
    (
        "seconds: 900",
        "seconds: 15m",
        "holding.seconds",
        "whole seconds, from 1 to a year of 31536000",
        'the text "15m"',
    ),
    (
        "seconds: 1800",
        "seconds: 31536001",
        "reservation.ttl_seconds",
        "whole seconds, from 1 to a year of 31536000",
        "31536001",
    ),
    (
        "cap_bp: 2400",
        "cap_bp: 2401",
        "apr_cap_bp",
        "whole basis points a year, from 100 to the legal 2400 (24%)",
        "2401",
    ),
    ("cap_bp: 2400", "cap_bp: 24", "apr_cap_bp", "whole basis points a year, from 100 to the legal 2400 (24%)", "24"),
    ("weight: 3", "weight: 0", "funders[0].weight", "a number above 0 and at most 1000000", "0"),
    ("weight: 3", "weight: -0.0", "funders[0].weight", "a number above 0 and at most 1000000", "-0.0"),
    ("weight: 3", "weight: 1e3", "funders[0].weight", "a number above 0 and at most 1000000", 'the text "1e3"'),
    ("fee_bp: 320", "fee_bp: 3.2", "funders[0].fee_bp", "a whole number from 0 to 10000", "3.2"),
    ("rate: 0.82", "rate: 1.01", "funders[0].pass_rate_prior.rate", "a number above 0 and at most 1", "1.01"),
    ("rate: 0.82", "rate: 82%", "funders[0].pass_rate_prior.rate", "a number above 0 and at most 1", 'the text "82%"'),
    ("rate: 0.82", "rate: 0", "funders[0].pass_rate_prior.rate", "a number above 0 and at most 1", "0"),
    ("strength: 50", "strength: 0", "funders[0].pass_rate_prior.strength", "a number above 0 and at most 1000000", "0"),
    ("amount: 500000000", "amount: -1", "funders[0].quota.daily_amount", FEN, "-1"),
    ("amount: 500000000", "amount: 9007199254740992", "funders[0].quota.daily_amount", FEN, "9007199254740992"),
    ("amount: 500000000", "amount: 5.0e+8", "funders[0].quota.daily_amount", FEN, "500000000.0"),
    ("count: 2000", "count: true", "funders[0].quota.daily_count", "a whole number of at least 0", "true"),
    ("count: 2000", 'count: "2000"', "funders[0].quota.daily_count", "a whole number of at least 0", 'the text "2000"'),
    (
        "count: 2000",
        "count: " + "9" * 80,
        "funders[0].quota.daily_count",
        "a whole number of at least 0",
        "9" * 60 + "…",
    ),
    ("cap: 0.5", "cap: 0.51", "funders[1].guarantee.cap", "a number above 0 and at most 0.5", "0.51"),
    ("cap: 0.5", "cap: 50", "funders[1].guarantee.cap", "a number above 0 and at most 0.5", "50"),
    ("enhanced: true", "enhanced: 1", "funders[1].guarantee.enhanced", "true or false", "1"),
    # capture
    ("odds_ratio: 2.0", "odds_ratio: 1", "capture.pass_rate.odds_ratio", "a number above 1 and at most 1000", "1"),
    ("arl_days: 365", "arl_days: 0", "capture.pass_rate.arl_days", "a whole number from 1 to 3650", "0"),
    ("min_events: 100", "min_events: -1", "capture.pass_rate.min_events", "a whole number of at least 0", "-1"),
    ("{window_days: 60", "{window_days: 1.5", "capture.non_return.window_days", "a whole number from 1 to 3650", "1.5"),
    (
        "hazard_ratio: 1.5",
        "hazard_ratio: 1.0",
        "capture.non_return.hazard_ratio",
        "a number above 1 and at most 1000",
        "1.0",
    ),
    (
        "early_settlement: {odds_ratio: 2.0}",
        "early_settlement: {odds_ratio: 0.5}",
        "capture.early_settlement.odds_ratio",
        "a number above 1 and at most 1000",
        "0.5",
    ),
    (
        "alpha: 0.01",
        "alpha: 0",
        "capture.canary.alpha",
        "the chance of a false alarm, above 0 and below 0.5, such as 0.01",
        "0",
    ),
    (
        "alpha: 0.01",
        "alpha: 0.99",
        "capture.canary.alpha",
        "the chance of a false alarm, above 0 and below 0.5, such as 0.01",
        "0.99",
    ),
    ("watch: 1.0", "watch: 1.5", "capture.ladder.traffic_multiplier.watch", "a number from 0 to 1", "1.5"),
    ("paused: 0.0", "paused: -0.1", "capture.ladder.traffic_multiplier.paused", "a number from 0 to 1", "-0.1"),
    ("calm_days: 14", "calm_days: 0", "capture.ladder.calm_days", "a whole number from 1 to 3650", "0"),
    ("approval: true", 'approval: "true"', "capture.ladder.pause_needs_approval", "true or false", 'the text "true"'),
    # texts
    ('seed: "2026-11"', "seed: 2026", "selection.seed", "a text that is not blank", "2026; put it in quotes"),
    ('seed: "2026-11"', 'seed: " "', "selection.seed", "a text that is not blank", 'the text " "'),
    ("name: East Bank", "name:", "funders[0].name", "a text that is not blank", "empty"),
    ("id: bank-east", "id: 360", "funders[0].id", ID, "360; put it in quotes"),
    ("id: bank-east", "id: east bank", "funders[0].id", ID, 'the text "east bank"'),
    ("id: bank-east", "id: 东方银行", "funders[0].id", ID, 'the text "东方银行"'),
    ("id: bank-east", r'id: "bank-east\n"', "funders[0].id", ID, r'the text "bank-east\n"'),
    ("id: bank-east", "id: " + "x" * 65, "funders[0].id", ID, 'the text "' + "x" * 59 + "…"),
    ("kind: bank", "kind: Bank", "funders[0].kind", "one of bank, consumer_finance, trust", 'the text "Bank"'),
    ("status: active", "status: stopped", "funders[0].status", "one of active, paused", 'the text "stopped"'),
    (OPEN, 'open: "25:00-26:00"', "funders[0].open", HOURS, 'the text "25:00-26:00"'),
    (OPEN, 'open: "6:00-23:00"', "funders[0].open", HOURS, 'the text "6:00-23:00"'),
    (OPEN, 'open: "06:00-23:60"', "funders[0].open", HOURS, 'the text "06:00-23:60"'),
    (OPEN, 'open: "24:00-06:00"', "funders[0].open", HOURS, 'the text "24:00-06:00"'),
    (OPEN, 'open: "06:00-24:01"', "funders[0].open", HOURS, 'the text "06:00-24:01"'),
    (OPEN, 'open: "06:00"', "funders[0].open", HOURS, 'the text "06:00"'),
    (OPEN, 'open: "06:00–23:00"', "funders[0].open", HOURS, 'the text "06:00–23:00"'),
    (OPEN, r'open: "06:00-23:00\n"', "funders[0].open", HOURS, r'the text "06:00-23:00\n"'),
    (OPEN, 'open: "٠٦:00-23:00"', "funders[0].open", HOURS, 'the text "٠٦:00-23:00"'),
    (AS_OF, 'as_of: "2026-11-01"', "funders[1].guarantee.as_of", TIME, 'the text "2026-11-01"'),
    (AS_OF, 'as_of: "2026-11-01T00:00:00"', "funders[1].guarantee.as_of", TIME, 'the text "2026-11-01T00:00:00"'),
    # lists
    (REGIONS, "regions: [310000]", "funders[0].regions[0]", PROVINCE, "310000; put it in quotes"),
    (REGIONS, 'regions: ["310000", "310100"]', "funders[0].regions[1]", PROVINCE, 'the text "310100"'),
    (REGIONS, "regions: [all]", "funders[0].regions[0]", PROVINCE, 'the text "all"'),
    (
        REGIONS,
        "regions: everywhere",
        "funders[0].regions",
        f"a list, each item {PROVINCE}, or all",
        'the text "everywhere"',
    ),
    ("grades: [A, B, C]", "grades: [A, F]", "funders[0].grades[1]", "one of A, B, C, D, E", 'the text "F"'),
    (
        "grades: [A, B, C]",
        "grades: ABC",
        "funders[0].grades",
        "a list, each item one of A, B, C, D, E",
        'the text "ABC"',
    ),
    ("age: [22, 55]", "age: 22", "funders[0].age", "a pair [lowest, highest], each a whole number from 0 to 150", "22"),
    (
        "age: [22, 55]",
        "age: [22]",
        "funders[0].age",
        "a pair [lowest, highest], each a whole number from 0 to 150",
        "a list of 1",
    ),
    (
        "age: [22, 55]",
        "age: [22, 30, 55]",
        "funders[0].age",
        "a pair [lowest, highest], each a whole number from 0 to 150",
        "a list of 3",
    ),
    ("age: [22, 55]", "age: [22, 155]", "funders[0].age[1]", "a whole number from 0 to 150", "155"),
    ("amount: [50000, 20000000]", "amount: [500.00, 20000000]", "funders[0].amount[0]", FEN, "500.0"),
    ("terms: [3, 6, 12, 24]", "terms: [0]", "funders[0].terms[0]", "a whole number from 1 to 120", "0"),
    ("terms: [3, 6, 12, 24]", "terms: [3, 121]", "funders[0].terms[1]", "a whole number from 1 to 120", "121"),
    ("terms: [3, 6, 12, 24]", 'terms: ["3"]', "funders[0].terms[0]", "a whole number from 1 to 120", 'the text "3"'),
    ("[cooldown, max_share", "[cooldown, quota, max_share", "rotation.relax_order[1]", RULES, 'the text "quota"'),
    ("[cooldown, max_share", "[closed, max_share", "rotation.relax_order[0]", RULES, 'the text "closed"'),
    # sections
    (
        "quota: {daily_amount: 500000000, daily_count: 2000}",
        "quota:",
        "funders[0].quota",
        "a section of keys and values",
        "empty",
    ),
    ("cooldown: {days: 14}", "cooldown: 14", "rotation.cooldown", "a section of keys and values", "14"),
]


@pytest.mark.parametrize(
    ("old", "new", "key", "expected", "found"), REFUSED, ids=[f"{c[2]}: {c[1][-24:]}" for c in REFUSED]
)
def test_a_wrong_value_is_refused_with_what_it_must_be(old: str, new: str, key: str, expected: str, found: str) -> None:
    """The reason says what belongs there and what stands there; nothing else is told."""
    assert problems(edited((old, new))) == [Told(line_of(old), key, f"must be {expected}, but is {found}")]


def test_half_a_character_is_refused() -> None:
    """What no UTF-8 can hold never reaches a record."""
    told = Told(line_of("name: East Bank"), "funders[0].name", "holds half of a surrogate pair, which is no character")

    assert problems(edited(("name: East Bank", r'name: "\uD800"'))) == [told]


#: The edges of what is allowed, and what looks odd but is meant.
ACCEPTED: list[tuple[tuple[str | int, ...], Any]] = [
    (("rotation", "never_last", "n"), 3),
    (("rotation", "max_share", "at_most"), 1),
    (("rotation", "cooldown", "days"), 0.0001),
    (("rotation", "min_live_grants"), 0),
    (("rotation", "relax_order"), []),
    (("selection", "exploration"), 0),
    (("selection", "exploration"), 1),
    (("selection", "pass_rate_exponent"), 0),
    (("apr_cap_bp",), 100),
    (("apr_cap_bp",), 2400),
    (("attempts", "max"), 1),
    (("funders", 0, "weight"), 0.001),
    (("funders", 0, "status"), "paused"),
    (("funders", 0, "regions"), "all"),
    (("funders", 0, "regions"), ["110000", "650000", "710000", "810000", "820000"]),
    (("funders", 0, "open"), "00:00-24:00"),
    (("funders", 0, "open"), "22:00-06:00"),
    (("funders", 0, "terms"), [1, 120]),
    (("funders", 0, "quota", "daily_amount"), 0),
    (("funders", 0, "quota", "daily_count"), 0),
    (("funders", 0, "quota", "daily_amount"), 2**53 - 1),
    (("funders", 0, "pass_rate_prior", "rate"), 1),
    (("funders", 0, "name"), "东方银行"),
    (("funders", 1, "guarantee"), None),
    (("funders", 1, "guarantee", "enhanced"), False),
    (("funders", 1, "guarantee", "guaranteed"), 42_000_000_000),
    (("funders", 1, "guarantee", "as_of"), "2026-10-31T16:00:00.500Z"),
    (("funders", 2, "kind"), "trust"),
    (("capture", "pass_rate", "min_events"), 0),
    (("capture", "canary", "alpha"), 0.49),
    (("capture", "ladder", "traffic_multiplier", "throttled"), 1),
]


@pytest.mark.parametrize(("steps", "value"), ACCEPTED, ids=lambda case: str(case)[:40])
def test_what_is_allowed_is_taken_as_it_is(steps: tuple[str | int, ...], value: Any) -> None:
    """The edges belong to what is allowed, and the configuration holds the very value."""
    found: Any = parse_config(changed(steps, value))
    for step in steps:
        found = found[step] if isinstance(step, int) else getattr(found, step)

    assert found == value
