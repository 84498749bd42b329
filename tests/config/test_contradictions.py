"""Values that are each sound but cannot all be meant are refused, with what contradicts what."""

import pytest

from tests.config.shipped import Told, edited, problems

RELAX = "relax_order: [cooldown, max_share, exposure_budget, never_last]"
SHARE = "max_share: {of_last: 5, at_most: 0.4}"
BUDGET = "exposure_budget: {funders: 5, within_days: 180}"
MULTIPLIER = "capture.ladder.traffic_multiplier"
QUOTA = "quota: {daily_amount: 500000000, daily_count: 2000}"
ENHANCED = '{enhanced: true, balance: 9, guaranteed: 1, cap: 0.5, as_of: "2026-11-01T00:00:00+08:00"}'
PAUSE_EAST = ("kind: bank\n    status: active", "kind: bank\n    status: paused")
PAUSE_NORTH = (
    "Finance\n    kind: consumer_finance\n    status: active",
    "Finance\n    kind: consumer_finance\n    status: paused",
)
PAUSE_SOUTH = ("kind: trust\n    status: active", "kind: trust\n    status: paused")
PAUSE_WEST = (
    "kind: consumer_finance\n    status: active\n    weight: 2\n    regions: all\n    grades: [A, B, C, D, E]",
    "kind: consumer_finance\n    status: paused\n    weight: 2\n    regions: all\n    grades: [A, B, C, D, E]",
)
FEWER_GRANTS = ("min_live_grants: 3", "min_live_grants: 1")

Edits = list[tuple[str, str]]

#: what is wrong, the edits, the problems
REFUSED: list[tuple[str, Edits, list[Told]]] = [
    (
        "a share of less than one drawdown",
        [(SHARE, "max_share: {of_last: 5, at_most: 0.19}")],
        [
            Told(
                4,
                "rotation.max_share.at_most",
                "0.19 of the last 5 drawdowns is less than one, so no funder could ever be chosen",
            )
        ],
    ),
    (
        "shares that together are less than all drawdowns",
        [(SHARE, "max_share: {of_last: 9, at_most: 0.25}")],
        [
            Told(
                4,
                "rotation.max_share.at_most",
                "the 4 active funders, each with at most 2 of the last 9 drawdowns, make 8, not 9",
            )
        ],
    ),
    (
        "shares that the funders left after a pause cannot meet",
        [PAUSE_EAST, PAUSE_SOUTH],
        [
            Told(
                4,
                "rotation.max_share.at_most",
                "the 2 active funders, each with at most 2 of the last 5 drawdowns, make 4, not 5",
            )
        ],
    ),
    (
        "shares that the funders within the exposure budget cannot meet",
        [(BUDGET, "exposure_budget: {funders: 2, within_days: 180}"), FEWER_GRANTS],
        [
            Told(
                4,
                "rotation.max_share.at_most",
                "the 2 funders that exposure_budget allows, each with at most 2 of the last 5 drawdowns, make 4, not 5",
            )
        ],
    ),
    (
        "a rest for every active funder at once",
        [("{n: 1}", "{n: 4}")],
        [
            Told(
                3,
                "rotation.never_last.n",
                "the 4 active funders can have served the last 4 drawdowns, and then nobody is left for the next",
            )
        ],
    ),
    (
        "a rest that only paused funders could end",
        [("{n: 1}", "{n: 3}"), PAUSE_SOUTH],
        [
            Told(
                3,
                "rotation.never_last.n",
                "the 3 active funders can have served the last 3 drawdowns, and then nobody is left for the next",
            )
        ],
    ),
    (
        "an exposure budget of one funder, who then may never come last",
        [
            (BUDGET, "exposure_budget: {funders: 1, within_days: 180}"),
            FEWER_GRANTS,
            (SHARE, "max_share: {of_last: 5, at_most: 1}"),
        ],
        [
            Told(
                3,
                "rotation.never_last.n",
                "the 1 funder that exposure_budget allows can have served the last drawdown,"
                " and then nobody is left for the next",
            )
        ],
    ),
    (
        "more grants than the exposure budget lets funders see the borrower",
        [(BUDGET, "exposure_budget: {funders: 3, within_days: 180}"), ("min_live_grants: 3", "min_live_grants: 4")],
        [
            Told(
                6,
                "rotation.exposure_budget.funders",
                "at most 3 may see a borrower, but min_live_grants wants grants from 4 funders",
            )
        ],
    ),
    (
        "more grants than funders",
        [("min_live_grants: 3", "min_live_grants: 5")],
        [Told(8, "rotation.min_live_grants", "wants live grants at 5 funders, but only 4 are configured")],
    ),
    (
        "a rule given up twice",
        [(RELAX, "relax_order: [cooldown, max_share, cooldown]")],
        [Told(7, "rotation.relax_order[2]", "cooldown stands here twice; a rule can be given up only once")],
    ),
    (
        "a rule given up that is not there",
        [("  cooldown: {days: 14}", "  # cooldown: {days: 14}")],
        [Told(7, "rotation.relax_order[0]", "cooldown is to be given up, but the rule is not configured")],
    ),
    (
        "two funders with one id",
        [("id: cf-west", "id: bank-east"), ("id: trust-south", "id: bank-east")],
        [
            Told(45, "funders[2].id", "bank-east is the id of funders[0] already"),
            Told(59, "funders[3].id", "bank-east is the id of funders[0] already"),
        ],
    ),
    (
        "nobody active",
        [PAUSE_EAST, PAUSE_WEST, PAUSE_NORTH, PAUSE_SOUTH],
        [Told(15, "funders", "no funder is active, so every drawdown would be held and then rejected")],
    ),
    (
        "no region",
        [('regions: ["310000", "320000", "330000"]', "regions: []")],
        [
            Told(
                21,
                "funders[0].regions",
                "bank-east has no regions, so it could never be chosen; pause it if that is meant",
            )
        ],
    ),
    (
        "no grade",
        [("grades: [A, B, C]", "grades: []")],
        [
            Told(
                22,
                "funders[0].grades",
                "bank-east has no grades, so it could never be chosen; pause it if that is meant",
            )
        ],
    ),
    (
        "no term",
        [("terms: [3, 6, 12, 24]", "terms: []")],
        [
            Told(
                25, "funders[0].terms", "bank-east has no terms, so it could never be chosen; pause it if that is meant"
            )
        ],
    ),
    (
        "a list that says something twice",
        [
            ("terms: [3, 6, 12, 24]", "terms: [3, 6, 3]"),
            ("grades: [A, B, C]", "grades: [A, A]"),
            ('"320000", "330000"', '"310000"'),
        ],
        [
            Told(21, "funders[0].regions[1]", "310000 stands in this list twice"),
            Told(22, "funders[0].grades[1]", "A stands in this list twice"),
            Told(25, "funders[0].terms[2]", "3 stands in this list twice"),
        ],
    ),
    (
        "ages turned round",
        [("age: [22, 55]", "age: [55, 22]")],
        [Told(23, "funders[0].age", "the lowest age 55 is above the highest 22")],
    ),
    (
        "ages of nobody who asks",
        [("age: [22, 55]", "age: [10, 17]"), ("age: [25, 55]", "age: [101, 120]")],
        [
            Told(23, "funders[0].age", "nobody of 10 to 17 years can ask for money: requests carry ages 18 to 100"),
            Told(66, "funders[3].age", "nobody of 101 to 120 years can ask for money: requests carry ages 18 to 100"),
        ],
    ),
    (
        "amounts turned round",
        [("amount: [50000, 20000000]", "amount: [20000000, 50000]")],
        [Told(24, "funders[0].amount", "the smallest amount 20000000 is above the largest 50000")],
    ),
    (
        "a largest amount of nothing",
        [("amount: [50000, 20000000]", "amount: [0, 0]")],
        [Told(24, "funders[0].amount", "the largest amount is 0 fen, so no drawdown could ever fit")],
    ),
    (
        "a daily amount in yuan where the drawdowns are in fen",
        [(QUOTA, "quota: {daily_amount: 49999, daily_count: 2000}")],
        [
            Told(
                29,
                "funders[0].quota.daily_amount",
                "49999 fen a day is less than bank-east's smallest drawdown of 50000 fen",
            )
        ],
    ),
    (
        "opening hours of no time",
        [('"06:00-23:00"', '"06:00-06:00"'), ('"08:00-20:00"', '"00:00-00:00"')],
        [
            Told(
                26, "funders[0].open", '06:00-06:00 is no time at all; "00:00-24:00" is always, status paused is never'
            ),
            Told(
                69, "funders[3].open", '00:00-00:00 is no time at all; "00:00-24:00" is always, status paused is never'
            ),
        ],
    ),
    (
        "a guarantee at a bank",
        [("fee_bp: 320", f"fee_bp: 320\n    guarantee: {ENHANCED}")],
        [
            Told(
                28,
                "funders[0].guarantee",
                "the guarantee ratio is a rule for consumer_finance, but bank-east is a bank",
            )
        ],
    ),
    (
        "more guaranteed than lent",
        [("guaranteed: 20000000000", "guaranteed: 42000000001")],
        [
            Told(
                42,
                "funders[1].guarantee.guaranteed",
                "42000000001 fen guaranteed is more than the whole balance of 42000000000 fen",
            )
        ],
    ),
    (
        "a day that no calendar has",
        [("2026-11-01T00", "2026-11-31T00")],
        [Told(42, "funders[1].guarantee.as_of", "2026-11-31T00:00:00+08:00 is no time of the calendar")],
    ),
    (
        "more traffic on a harder step of the ladder",
        [("watch: 1.0, throttled: 0.5", "watch: 0.4, throttled: 0.5")],
        [Told(79, f"{MULTIPLIER}.throttled", "throttled leaves a funder more traffic (0.5) than watch (0.4)")],
    ),
    (
        "traffic for a paused funder",
        [("paused: 0.0", "paused: 0.02")],
        [Told(79, f"{MULTIPLIER}.paused", "a paused funder gets no traffic: must be 0, but is 0.02")],
    ),
    (
        "probing without traffic",
        [("probing: 0.05", "probing: 0.0")],
        [Told(79, f"{MULTIPLIER}.probing", "a funder without traffic cannot be probed: must be above 0, but is 0")],
    ),
]


@pytest.mark.parametrize(("edits", "expected"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_contradiction_is_refused(edits: Edits, expected: list[Told]) -> None:
    """Exactly the contradiction is told, where it can be mended."""
    assert problems(edited(*edits)) == expected


ACCEPTED: list[tuple[str, Edits]] = [
    ("shares that are just enough", [(SHARE, "max_share: {of_last: 8, at_most: 0.25}")]),
    ("shares that are just enough after a pause", [PAUSE_SOUTH]),
    ("a rest for all but one", [("{n: 1}", "{n: 3}")]),
    ("as many grants as the budget lets funders see", [(BUDGET, "exposure_budget: {funders: 3, within_days: 180}")]),
    ("grants at every funder", [("min_live_grants: 3", "min_live_grants: 4")]),
    ("a budget beyond the funders", [(BUDGET, "exposure_budget: {funders: 50, within_days: 180}")]),
    ("a rule that is never given up", [(RELAX, "relax_order: [cooldown]")]),
    ("one age", [("age: [22, 55]", "age: [18, 18]")]),
    ("one amount", [("amount: [50000, 20000000]", "amount: [50000, 50000]")]),
    ("a quota of one drawdown", [(QUOTA, "quota: {daily_amount: 50000, daily_count: 1}")]),
    ("a quota of nothing", [(QUOTA, "quota: {daily_amount: 0, daily_count: 0}")]),
    ("hours over midnight", [('"06:00-23:00"', '"22:00-06:00"')]),
    ("a share of guaranteed loans beyond the cap", [("guaranteed: 20000000000", "guaranteed: 42000000000")]),
    (
        "a step of the ladder as mild as the one before",
        [("throttled: 0.5, probing: 0.05", "throttled: 1.0, probing: 1.0")],
    ),
]


@pytest.mark.parametrize("edits", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_what_can_be_met_is_no_contradiction(edits: Edits) -> None:
    """The last value before a contradiction is accepted, and so is what is odd on purpose."""
    assert problems(edited(*edits)) == []
