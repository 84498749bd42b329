"""Contradictions in a configuration whose keys are each sound, as a table: section → what is checked in it.

A check yields findings with paths within its section; its docstring says what it refuses, and is what
`docs/configuration.md` prints. Allowed on purpose: a daily quota of zero (the funder takes nothing that day, but
keeps its grants and its place), a guaranteed share that is above its cap already (the funder takes nothing until it
falls), and a configured rule that `relax_order` leaves out (it is never given up).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec

from config.problems import Finding
from config.rotation import (
    Example,
    Funder,
    Guarantee,
    MaxShare,
    Rotation,
    RotationConfig,
    TrafficMultiplier,
)

Findings = Iterator[Finding]


def less_than_one_drawdown(rule: MaxShare) -> Findings:
    """A share that is less than one drawdown of `of_last`."""
    if rule.most < 1:
        reason = (
            f"{rule.at_most} of the last {rule.of_last} drawdowns is less than one, so no funder could ever be chosen"
        )
        yield Finding(("at_most",), reason)


def relaxing_what_is_off(rotation: Rotation) -> Findings:
    """A rule in `relax_order` that is named twice or is not configured."""
    for index, rule in enumerate(rotation.relax_order):
        if rule in rotation.relax_order[:index]:
            yield Finding(("relax_order", index), f"{rule} stands here twice; a rule can be given up only once")
        elif getattr(rotation, rule) is None:
            yield Finding(("relax_order", index), f"{rule} is to be given up, but the rule is not configured")


def grants_beyond_the_budget(rotation: Rotation) -> Findings:
    """More live grants wanted than the exposure budget lets funders see the borrower: each grant is an exposure."""
    budget = rotation.exposure_budget
    if budget is not None and budget.funders < rotation.min_live_grants:
        yield Finding(
            ("exposure_budget", "funders"),
            f"at most {budget.funders} may see a borrower, but min_live_grants wants grants from"
            f" {rotation.min_live_grants} funders",
        )


def empty_lists(funder: Funder) -> Findings:
    """A funder without regions, grades or terms."""
    for key, values in _lists(funder):
        if not values:
            yield Finding((key,), f"{funder.id} has no {key}, so it could never be chosen; pause it if that is meant")


def repeated_items(funder: Funder) -> Findings:
    """A region, grade or term that is listed twice."""
    for key, values in _lists(funder):
        for index, value in enumerate(values):
            if value in values[:index]:
                yield Finding((key, index), f"{value} stands in this list twice")


def age_turned_round(funder: Funder) -> Findings:
    """A lowest age above the highest, or a range outside the ages that requests carry (18 to 100)."""
    low, high = funder.age
    if low > high:
        yield Finding(("age",), f"the lowest age {low} is above the highest {high}")
    elif high < 18 or low > 100:
        yield Finding(("age",), f"nobody of {low} to {high} years can ask for money: requests carry ages 18 to 100")


def amount_turned_round(funder: Funder) -> Findings:
    """A smallest amount above the largest, or a largest amount of zero."""
    low, high = funder.amount
    if low > high:
        yield Finding(("amount",), f"the smallest amount {low} is above the largest {high}")
    elif high == 0:
        yield Finding(("amount",), "the largest amount is 0 fen, so no drawdown could ever fit")


def quota_below_one_drawdown(funder: Funder) -> Findings:
    """A daily amount, other than zero, that is less than the smallest drawdown which the funder takes."""
    smallest, daily = funder.amount[0], funder.quota.daily_amount
    if 0 < daily < smallest:
        reason = f"{daily} fen a day is less than {funder.id}'s smallest drawdown of {smallest} fen"
        yield Finding(("quota", "daily_amount"), reason)


def open_for_no_time(funder: Funder) -> Findings:
    """Opening hours that begin and end at the same minute."""
    start, end = funder.open.split("-")
    if start == end:
        yield Finding(("open",), f'{funder.open} is no time at all; "00:00-24:00" is always, status paused is never')


def guarantee_of_another_kind(funder: Funder) -> Findings:
    """A guarantee section at a funder that is no consumer-finance company."""
    if funder.guarantee is not None and funder.kind != "consumer_finance":
        yield Finding(
            ("guarantee",), f"the guarantee ratio is a rule for consumer_finance, but {funder.id} is a {funder.kind}"
        )


def more_guaranteed_than_lent(guarantee: Guarantee) -> Findings:
    """A guaranteed part above the whole balance."""
    if guarantee.guaranteed > guarantee.balance:
        reason = f"{guarantee.guaranteed} fen guaranteed is more than the whole balance of {guarantee.balance} fen"
        yield Finding(("guaranteed",), reason)


def no_such_time(guarantee: Guarantee) -> Findings:
    """An `as_of` that is no time of the calendar."""
    if _moment(guarantee.as_of) is None:
        yield Finding(("as_of",), f"{guarantee.as_of} is no time of the calendar")


def example_at_no_time(example: Example) -> Findings:
    """An example's `at` that is no time of the calendar, or not of the years 2000 to 2999."""
    moment = _moment(example.at)
    if moment is None or not 2000 <= moment.year < 3000:
        yield Finding(("at",), f"{example.at} is no time of the calendar between 2000 and 2999")


def expecting_nothing(example: Example) -> Findings:
    """An example that expects nothing."""
    expected = example.expect
    if expected.funder is None and expected.reason is None and expected.relaxed is None and not expected.excluded:
        yield Finding(("expect",), "expects nothing, so it could never fail")


def ladder_turned_round(multiplier: TrafficMultiplier) -> Findings:
    """A step of the ladder with more traffic than a milder one (watch, throttled, probing, paused)."""
    steps = ("watch", "throttled", "probing", "paused")
    for milder, harder in pairwise(steps):
        more, less = getattr(multiplier, milder), getattr(multiplier, harder)
        if less > more:
            yield Finding((harder,), f"{harder} leaves a funder more traffic ({less}) than {milder} ({more})")


def paused_with_traffic(multiplier: TrafficMultiplier) -> Findings:
    """Traffic for a paused funder: it is given no drawdown at all, whatever stands here."""
    if multiplier.paused > 0:
        yield Finding(("paused",), f"a paused funder gets no traffic: must be 0, but is {multiplier.paused}")


def probing_without_traffic(multiplier: TrafficMultiplier) -> Findings:
    """No traffic for a probing funder, which could then never show how it behaves now."""
    if multiplier.probing == 0:
        yield Finding(("probing",), "a funder without traffic cannot be probed: must be above 0, but is 0")


def repeated_ids(config: RotationConfig) -> Findings:
    """Two funders with one id."""
    first: dict[str, int] = {}
    for index, funder in enumerate(config.funders):
        if first.setdefault(funder.id, index) != index:
            yield Finding(("funders", index, "id"), f"{funder.id} is the id of funders[{first[funder.id]}] already")


def nobody_active(config: RotationConfig) -> Findings:
    """No funder with status active."""
    if not _active(config):
        yield Finding(("funders",), "no funder is active, so every drawdown would be held and then rejected")


def grants_beyond_the_funders(config: RotationConfig) -> Findings:
    """More live grants wanted than there are funders."""
    wanted, there = config.rotation.min_live_grants, len(config.funders)
    if wanted > there:
        reason = f"wants live grants at {wanted} funders, but only {there} are configured"
        yield Finding(("rotation", "min_live_grants"), reason)


def shares_that_cannot_be_met(config: RotationConfig) -> Findings:
    """A share cap that the active funders together, or those within the exposure budget, cannot meet."""
    rule = config.rotation.max_share
    for funders, who in _rotating(config):
        if rule is not None and rule.most >= 1 and funders * rule.most < rule.of_last:
            yield Finding(
                ("rotation", "max_share", "at_most"),
                f"{who}, each with at most {rule.most} of the last {rule.of_last} drawdowns, make"
                f" {funders * rule.most}, not {rule.of_last}",
            )


def rest_that_cannot_be_met(config: RotationConfig) -> Findings:
    """A `never_last` that bars all active funders at once, or all of those within the exposure budget."""
    rule = config.rotation.never_last
    for funders, who in _rotating(config):
        if rule is not None and rule.n >= funders:
            served = "the last drawdown" if rule.n == 1 else f"the last {rule.n} drawdowns"
            yield Finding(
                ("rotation", "never_last", "n"),
                f"{who} can have served {served}, and then nobody is left for the next",
            )


def strangers_in_examples(config: RotationConfig) -> Findings:
    """An example that names a funder which is not configured."""
    known = {funder.id for funder in config.funders}
    for index, example in enumerate(config.examples):
        named: list[tuple[tuple[str | int, ...], str | None]] = [
            *((("grants", n, "funder"), grant.funder) for n, grant in enumerate(example.grants)),
            *((("past", n, "funder"), drawdown.funder) for n, drawdown in enumerate(example.past)),
            (("expect", "funder"), example.expect.funder),
            *((("expect", "excluded", n, "funder"), out.funder) for n, out in enumerate(example.expect.excluded)),
        ]
        for path, funder_id in named:
            if funder_id is not None and funder_id not in known:
                yield Finding(("examples", index, *path), f"{funder_id} is no funder of this configuration")


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _rotating(config: RotationConfig) -> Iterator[tuple[int, str]]:
    """How many funders a borrower can be rotated over, and what sets that number; nothing when nobody is active."""
    active, budget = _active(config), config.rotation.exposure_budget
    if active:
        yield active, _count(active, "active ")
    if budget is not None and budget.funders < active:
        yield budget.funders, f"{_count(budget.funders)} that exposure_budget allows"


def _count(funders: int, which: str = "") -> str:
    return f"the 1 {which}funder" if funders == 1 else f"the {funders} {which}funders"


def _active(config: RotationConfig) -> int:
    return sum(funder.status == "active" for funder in config.funders)


def _lists(funder: Funder) -> tuple[tuple[str, Sequence[object]], ...]:
    listed = (("grades", funder.grades), ("terms", funder.terms))
    return listed if funder.regions == "all" else (("regions", funder.regions), *listed)


Check = Callable[[Any], Findings]

CHECKS: Mapping[type[msgspec.Struct], tuple[Check, ...]] = {
    MaxShare: (less_than_one_drawdown,),
    Rotation: (relaxing_what_is_off, grants_beyond_the_budget),
    Funder: (
        empty_lists,
        repeated_items,
        age_turned_round,
        amount_turned_round,
        quota_below_one_drawdown,
        open_for_no_time,
        guarantee_of_another_kind,
    ),
    Guarantee: (more_guaranteed_than_lent, no_such_time),
    Example: (example_at_no_time, expecting_nothing),
    TrafficMultiplier: (ladder_turned_round, paused_with_traffic, probing_without_traffic),
    RotationConfig: (
        repeated_ids,
        nobody_active,
        grants_beyond_the_funders,
        shares_that_cannot_be_met,
        rest_that_cannot_be_met,
        strangers_in_examples,
    ),
}
