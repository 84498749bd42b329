"""The rules, as two tables: what drops a funder from a drawdown, in which code, and why.

A rule's code is what appears in `excluded`. `docs/reason-codes.md` is generated from here.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from rotation.clock import DAY
from rotation.policy import Policy
from rotation.roster import NOBODY, Funders
from rotation.state import Grant, LedgerEntry


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One attempt of one drawdown, with all that the rules look at. Times in ms, money in fen.

    `grants` holds only approved, unexpired grants; `owed` the outstanding and reserved principal at each funder;
    `ledger` the borrower's counted entries in order; `seen` the funders that saw the borrower, with when; `tried` the
    funders of earlier attempts.
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
    ledger: list[LedgerEntry]
    seen: dict[str, int]
    tried: list[str]
    excluded_by_request: list[str]


class Rule(NamedTuple):
    """A rule: its code, what it means for a funder that it drops, and `drops(policy, ask)`: the funders it drops."""

    code: str
    meaning: str
    drops: Callable[[Policy, Ask], Funders]


def _no_live_grant(policy: Policy, ask: Ask) -> Funders:
    return policy.roster.everyone & ~policy.roster.set_of(ask.grants)


def _limit_too_small(policy: Policy, ask: Ask) -> Funders:
    dropped = NOBODY
    for funder_id, grant in ask.grants.items():
        if grant.credit_limit - ask.owed.get(funder_id, 0) < ask.amount:
            dropped |= policy.roster.bits.get(funder_id, NOBODY)
    return dropped


def _apr_above_cap(policy: Policy, ask: Ask) -> Funders:
    cap = policy.config.apr_cap_bp
    dropped = NOBODY
    for funder_id, grant in ask.grants.items():
        if grant.apr_bp > cap:
            dropped |= policy.roster.bits.get(funder_id, NOBODY)
    return dropped


#: Never relaxed.
HARD_RULES: tuple[Rule, ...] = (
    Rule("no_live_grant", "the borrower has no approved, unexpired credit grant there", _no_live_grant),
    Rule("grant_limit", "the grant is live, but its free limit is smaller than the amount", _limit_too_small),
    Rule(
        "region_not_licensed",
        "the funder is not licensed in the borrower's region",
        lambda policy, ask: policy.unlicensed[ask.region],
    ),
    Rule(
        "grade_not_accepted",
        "the funder does not take this risk grade",
        lambda policy, ask: policy.against_grade[ask.risk_grade],
    ),
    Rule(
        "age_out_of_range",
        "the borrower's age is outside the funder's range",
        lambda policy, ask: policy.against_age[ask.age],
    ),
    Rule(
        "amount_out_of_range",
        "the amount is outside the funder's range",
        lambda policy, ask: policy.against_amount[ask.amount],
    ),
    Rule(
        "term_not_offered",
        "the funder does not offer this term",
        lambda policy, ask: policy.without_term[ask.term_months],
    ),
    Rule("apr_above_cap", "the grant's annual rate is above the cap on all-in rates", _apr_above_cap),
    Rule(
        "closed",
        "the funder is outside its opening hours (Asia/Shanghai)",
        lambda policy, ask: policy.closed[ask.minute],
    ),
    Rule(
        "funder_paused",
        "the funder is paused, by configuration or by the response ladder",
        lambda policy, ask: policy.paused,
    ),
    Rule(
        "excluded_by_request",
        "the request itself excludes the funder",
        lambda policy, ask: policy.roster.set_of(ask.excluded_by_request),
    ),
    Rule(
        "already_tried",
        "an earlier attempt of this drawdown went to this funder",
        lambda policy, ask: policy.roster.set_of(ask.tried),
    ),
)

#: Judged by the reservation book, in rank order down to the chosen funder; never relaxed either.
RESERVATION_CODES: dict[str, str] = {
    "quota_exhausted": "the funder's quota of this Shanghai day, amount or count, has no room",
    "guarantee_ratio": "the guaranteed share of the funder's loan balance would exceed its cap",
}


def _never_last(policy: Policy, ask: Ask) -> Funders:
    rule = policy.config.rotation.never_last
    if rule is None:
        return NOBODY
    return policy.roster.set_of([entry.funder_id for entry in ask.ledger[-rule.n :]])


def _max_share(policy: Policy, ask: Ask) -> Funders:
    rule = policy.config.rotation.max_share
    if rule is None or len(ask.ledger) < rule.of_last - 1:
        return NOBODY
    most = rule.most
    if most < 1:
        return policy.roster.everyone
    recent = [entry.funder_id for entry in ask.ledger[1 - rule.of_last :]]
    return policy.roster.set_of([funder_id for funder_id in recent if recent.count(funder_id) >= most])


def _cooldown(policy: Policy, ask: Ask) -> Funders:
    rule = policy.config.rotation.cooldown
    if rule is None:
        return NOBODY
    since = ask.now - rule.days * DAY
    return policy.roster.set_of([entry.funder_id for entry in ask.ledger if entry.decided_at > since])


def _exposure_budget(policy: Policy, ask: Ask) -> Funders:
    rule = policy.config.rotation.exposure_budget
    if rule is None:
        return NOBODY
    since = ask.now - rule.within_days * DAY
    exposed = [funder_id for funder_id, at in ask.seen.items() if at > since]
    return policy.roster.everyone & ~policy.roster.set_of(exposed) if len(exposed) >= rule.funders else NOBODY


def _capture_risk(policy: Policy, ask: Ask) -> Funders:
    suspected = policy.suspected[ask.risk_grade]
    if suspected and policy.explores(ask.drawdown_id):
        return policy.risky[ask.risk_grade] & ~suspected
    return policy.risky[ask.risk_grade]


#: Given up in the configured order when nobody is left. Each drops nobody when it is not configured.
ROTATION_RULES: tuple[Rule, ...] = (
    Rule("never_last", "the funder is among the last n of the borrower's ledger", _never_last),
    Rule("max_share", "the funder would hold more than its share of the last drawdowns", _max_share),
    Rule("cooldown", "the funder's last drawdown of this borrower is too recent", _cooldown),
    Rule(
        "exposure_budget",
        "the funder has not seen the borrower yet, and enough other funders have",
        _exposure_budget,
    ),
    Rule("capture_risk", "the funder is expected to capture too many borrowers of this risk grade", _capture_risk),
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
