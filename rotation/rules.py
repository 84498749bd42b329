"""The rules, as two tables: what drops a funder from a drawdown, in which code, and why.

A rule's code is what appears in `excluded`. Hard rules are never relaxed; rotation rules are given up in the
configured order when nobody is left. `docs/reason-codes.md` is generated from here.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from rotation.clock import DAY
from rotation.policy import FunderPolicy, Policy
from rotation.state import Grant


class Ask(msgspec.Struct, frozen=True):
    """One attempt of one drawdown, with all that the rules look at. Times in ms, money in fen.

    `grants` holds only approved, unexpired grants; `owed` the outstanding and reserved principal at each funder;
    `ledger` the borrower's counted entries in order, as (funder, decided at); `seen` the funders that saw the
    borrower, with when; `tried` the funders of earlier attempts.
    """

    customer_id: str
    drawdown_id: str
    attempt: int
    amount: int
    term_months: int
    region: str
    risk_grade: str
    age: int
    now: int
    minute: int
    grants: dict[str, Grant]
    owed: dict[str, int]
    ledger: tuple[tuple[str, int], ...]
    seen: dict[str, int]
    tried: frozenset[str]
    excluded_by_request: frozenset[str]


class HardRule(NamedTuple):
    """A rule that always holds. `drops(policy, funder, ask)` tells whether it drops the funder."""

    code: str
    meaning: str
    drops: Callable[[Policy, FunderPolicy, Ask], bool]


class RotationRule(NamedTuple):
    """A soft rule. `drops(policy, ask)` gives the funders that it drops: none when it is not configured."""

    code: str
    meaning: str
    drops: Callable[[Policy, Ask], frozenset[str]]


def _limit_too_small(policy: Policy, funder: FunderPolicy, ask: Ask) -> bool:
    grant = ask.grants.get(funder.funder_id)
    return grant is not None and grant.credit_limit - ask.owed.get(funder.funder_id, 0) < ask.amount


def _apr_above_cap(policy: Policy, funder: FunderPolicy, ask: Ask) -> bool:
    grant = ask.grants.get(funder.funder_id)
    return grant is not None and grant.apr_bp > policy.config.apr_cap_bp


HARD_RULES: tuple[HardRule, ...] = (
    HardRule(
        "no_live_grant",
        "the borrower has no approved, unexpired credit grant there",
        lambda policy, funder, ask: funder.funder_id not in ask.grants,
    ),
    HardRule("grant_limit", "the grant is live, but its free limit is smaller than the amount", _limit_too_small),
    HardRule(
        "region_not_licensed",
        "the funder is not licensed in the borrower's region",
        lambda policy, funder, ask: funder.regions is not None and ask.region not in funder.regions,
    ),
    HardRule(
        "grade_not_accepted",
        "the funder does not take this risk grade",
        lambda policy, funder, ask: ask.risk_grade not in funder.grades,
    ),
    HardRule(
        "age_out_of_range",
        "the borrower's age is outside the funder's range",
        lambda policy, funder, ask: not funder.age[0] <= ask.age <= funder.age[1],
    ),
    HardRule(
        "amount_out_of_range",
        "the amount is outside the funder's range",
        lambda policy, funder, ask: not funder.amount[0] <= ask.amount <= funder.amount[1],
    ),
    HardRule(
        "term_not_offered",
        "the funder does not offer this term",
        lambda policy, funder, ask: ask.term_months not in funder.terms,
    ),
    HardRule("apr_above_cap", "the grant's annual rate is above the cap on all-in rates", _apr_above_cap),
    HardRule(
        "closed",
        "the funder is outside its opening hours (Asia/Shanghai)",
        lambda policy, funder, ask: not funder.is_open(ask.minute),
    ),
    HardRule(
        "funder_paused",
        "the funder is paused, by configuration or by the response ladder",
        lambda policy, funder, ask: funder.paused,
    ),
    HardRule(
        "excluded_by_request",
        "the request itself excludes the funder",
        lambda policy, funder, ask: funder.funder_id in ask.excluded_by_request,
    ),
    HardRule(
        "already_tried",
        "an earlier attempt of this drawdown went to this funder",
        lambda policy, funder, ask: funder.funder_id in ask.tried,
    ),
)

#: Judged by the reservation book, in rank order down to the chosen funder; never relaxed either.
RESERVATION_CODES: dict[str, str] = {
    "quota_exhausted": "the funder's quota of this Shanghai day, amount or count, has no room",
    "guarantee_ratio": "the guaranteed share of the funder's loan balance would exceed its cap",
}


def _never_last(policy: Policy, ask: Ask) -> frozenset[str]:
    rule = policy.config.rotation.never_last
    if rule is None:
        return frozenset()
    return frozenset(funder_id for funder_id, _ in ask.ledger[-rule.n :])


def _max_share(policy: Policy, ask: Ask) -> frozenset[str]:
    rule = policy.config.rotation.max_share
    if rule is None:
        return frozenset()
    before = rule.of_last - 1
    if len(ask.ledger) < before:
        return frozenset()
    # The tolerance keeps 0.29 of 100 at 29: the product of a decimal share and a count is rarely exact.
    most = int(rule.at_most * rule.of_last + 1e-9)
    recent = [funder_id for funder_id, _ in ask.ledger[-before:]]
    full = {funder_id for funder_id in recent if recent.count(funder_id) + 1 > most}
    return frozenset(policy.funder_ids if most < 1 else full)


def _cooldown(policy: Policy, ask: Ask) -> frozenset[str]:
    rule = policy.config.rotation.cooldown
    if rule is None:
        return frozenset()
    since = ask.now - rule.days * DAY
    return frozenset(funder_id for funder_id, decided_at in ask.ledger if decided_at > since)


def _exposure_budget(policy: Policy, ask: Ask) -> frozenset[str]:
    rule = policy.config.rotation.exposure_budget
    if rule is None:
        return frozenset()
    since = ask.now - rule.within_days * DAY
    exposed = {funder_id for funder_id, at in ask.seen.items() if at > since}
    if len(exposed) < rule.funders:
        return frozenset()
    return frozenset(policy.funder_ids) - exposed


ROTATION_RULES: tuple[RotationRule, ...] = (
    RotationRule("never_last", "the funder is among the last n of the borrower's ledger", _never_last),
    RotationRule("max_share", "the funder would hold more than its share of the last drawdowns", _max_share),
    RotationRule("cooldown", "the funder's last drawdown of this borrower is too recent", _cooldown),
    RotationRule(
        "exposure_budget",
        "the funder has not seen the borrower yet, and enough other funders have",
        _exposure_budget,
    ),
)

#: Why a decision has its status (`reasons`); a held one may also carry the code on which all exclusions agree.
STATUS_REASONS: dict[str, str] = {
    "ranked_first": "the funder ranked first among several candidates",
    "only_candidate": "no other funder was left",
    "relaxed": "rotation rules were given up (see relaxed)",
    "no_candidate": "no funder is left, not even with every rotation rule given up",
    "expired": "no funder was found before the request expired",
    "request_expired": "the request had expired when it arrived",
}


def meanings() -> dict[str, str]:
    """Every code that a decision can carry, in words."""
    hard = {rule.code: rule.meaning for rule in HARD_RULES}
    soft = {rule.code: rule.meaning for rule in ROTATION_RULES}
    return hard | RESERVATION_CODES | soft | STATUS_REASONS


def reason_codes_markdown() -> str:
    """`docs/reason-codes.md`: every code in words, by where it appears."""
    tables = (
        ("Hard rules", "In `excluded`; never relaxed.", {rule.code: rule.meaning for rule in HARD_RULES}),
        ("Judged with the reservation", "In `excluded`; never relaxed.", RESERVATION_CODES),
        (
            "Rotation rules",
            "In `excluded`, or in `relaxed` when given up.",
            {rule.code: rule.meaning for rule in ROTATION_RULES},
        ),
        (
            "Reasons",
            "In `reasons`: why a decision has its status. A held one names instead the one code on which all "
            "exclusions agree, if they do.",
            STATUS_REASONS,
        ),
    )
    parts = ["# Reason codes\n\nGenerated from `rotation/rules.py` by `./dev docs`.\n"]
    for title, where, codes in tables:
        rows = "".join(f"| `{code}` | {meaning} |\n" for code, meaning in codes.items())
        parts.append(f"\n## {title}\n\n{where}\n\n| code | meaning |\n|---|---|\n{rows}")
    return "".join(parts)
