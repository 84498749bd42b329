"""One attempt of one drawdown: which funders pass, in which order, and who has room.

The reservation book is outside (it is shared by all workers), so a decision is a generator: it yields a
`Reserve` and is sent the book's answer.
"""

from collections.abc import Generator
from typing import TypeVar

import msgspec

from rotation.choice import rank
from rotation.clock import shanghai_day
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved, reservation_id
from rotation.rules import HARD_RULES, ROTATION_RULES, Ask

T = TypeVar("T")
#: Steps of the core that may have to ask the reservation book on their way.
Steps = Generator[Reserve, Reserved, T]


class Verdict(msgspec.Struct, frozen=True):
    """Who takes the drawdown (`funder_id`, None for nobody), and all that explains it."""

    funder_id: str | None
    candidates: list[tuple[str, float]]
    excluded: dict[str, list[str]]
    relaxed: list[str]


def decide(policy: Policy, ask: Ask) -> Steps[Verdict]:
    """Find the first funder with room, giving up rotation rules in order only when nobody is left."""
    hard = hard_exclusions(policy, ask)
    passed_hard = [funder_id for funder_id in policy.funder_ids if funder_id not in hard]
    soft = {rule.code: rule.drops(policy, ask) for rule in ROTATION_RULES}
    for level in range(len(policy.relax_order) + 1):
        relaxed = policy.relax_order[:level]
        kept = {code: dropped for code, dropped in soft.items() if code not in relaxed}
        left = [
            funder_id
            for funder_id in passed_hard
            if funder_id not in hard and not any(funder_id in dropped for dropped in kept.values())
        ]
        if not left:
            continue
        ranked = rank(left, policy.weights(ask.risk_grade), policy.config.selection.seed, ask.drawdown_id, ask.attempt)
        answer = yield _reserve(policy, ask, ranked)
        # Who had no room on this level has none on the next: it stays out, whatever is relaxed.
        for funder_id, code in answer.passed_over:
            hard.setdefault(funder_id, []).append(code)
        if answer.funder_id is not None:
            return Verdict(
                funder_id=answer.funder_id,
                candidates=[(funder_id, share) for funder_id, share in ranked if funder_id not in hard],
                excluded=_excluded(policy, hard, kept),
                relaxed=list(relaxed),
            )
    return nobody(policy, ask, hard)


def nobody(policy: Policy, ask: Ask, hard: dict[str, list[str]]) -> Verdict:
    """The verdict when no funder is left: every rotation rule that may be given up was."""
    kept = {rule.code: rule.drops(policy, ask) for rule in ROTATION_RULES if rule.code not in policy.relax_order}
    excluded = _excluded(policy, hard, kept)
    return Verdict(funder_id=None, candidates=[], excluded=excluded, relaxed=list(policy.relax_order))


def hard_exclusions(policy: Policy, ask: Ask) -> dict[str, list[str]]:
    """Every funder that a hard rule drops, with every code that applies."""
    dropped: dict[str, list[str]] = {}
    for funder in policy.funders:
        codes = [rule.code for rule in HARD_RULES if rule.drops(policy, funder, ask)]
        if codes:
            dropped[funder.funder_id] = codes
    return dropped


def _reserve(policy: Policy, ask: Ask, ranked: list[tuple[str, float]]) -> Reserve:
    return Reserve(
        id=reservation_id(ask.customer_id, ask.drawdown_id, ask.attempt),
        candidates=tuple(funder_id for funder_id, _ in ranked),
        amount=ask.amount,
        now=ask.now,
        day=shanghai_day(ask.now),
        due=ask.now + policy.config.reservation.ttl_seconds * 1000,
    )


def _excluded(policy: Policy, hard: dict[str, list[str]], soft: dict[str, frozenset[str]]) -> dict[str, list[str]]:
    excluded: dict[str, list[str]] = {}
    for funder_id in policy.funder_ids:
        codes = hard.get(funder_id, []) + [code for code, dropped in soft.items() if funder_id in dropped]
        if codes:
            excluded[funder_id] = codes
    return excluded
