"""One attempt of one drawdown: which funders pass, in which order, and who has room.

The reservation book is outside (it is shared by all workers), so a decision is a generator: it yields a
`Reserve` and is sent the book's answer.
"""

from collections.abc import Generator
from typing import NamedTuple, TypeVar

import msgspec

from rotation.choice import rank
from rotation.clock import shanghai_day
from rotation.policy import Funders, Policy
from rotation.reservations import Reserve, Reserved, reservation_id
from rotation.rules import HARD_RULES, ROTATION_RULES, Ask

T = TypeVar("T")
#: Steps of the core that may have to ask the reservation book on their way.
Steps = Generator[Reserve, Reserved, T]


class Dropped(NamedTuple):
    """The funders that one rule drops."""

    code: str
    funders: Funders


class Verdict(msgspec.Struct, frozen=True):
    """Who takes the drawdown (`funder_id`, None for nobody), and all that explains it."""

    funder_id: str | None
    candidates: list[tuple[str, float]]
    excluded: dict[str, list[str]]
    relaxed: list[str]


def decide(policy: Policy, ask: Ask) -> Steps[Verdict]:
    """Find the first funder with room, giving up rotation rules in order only when nobody is left."""
    dropped = [Dropped(rule.code, rule.drops(policy, ask)) for rule in HARD_RULES]
    soft = [Dropped(rule.code, rule.drops(policy, ask)) for rule in ROTATION_RULES]
    left = policy.everyone & ~_all(dropped)
    for level in range(len(policy.relax_order) + 1):
        relaxed = policy.relax_order[:level]
        kept = [each for each in soft if each.code not in relaxed]
        candidates = left & ~_all(kept)
        if not candidates:
            continue
        ranked = rank(
            policy.members(candidates),
            policy.weights(ask.risk_grade),
            policy.config.selection.seed,
            ask.drawdown_id,
            ask.attempt,
        )
        answer = yield _reserve(policy, ask, ranked)
        # Who had no room on this level has none on the next: it stays out, whatever is relaxed.
        for funder_id, code in answer.passed_over:
            dropped.append(Dropped(code, policy.bits[funder_id]))
            left &= ~policy.bits[funder_id]
        if answer.funder_id is not None:
            return Verdict(
                funder_id=answer.funder_id,
                candidates=[each for each in ranked if policy.bits[each[0]] & left] if answer.passed_over else ranked,
                excluded=_excluded(policy, dropped + kept),
                relaxed=list(relaxed),
            )
    return _nobody(policy, dropped, soft)


def reject(policy: Policy, ask: Ask) -> Verdict:
    """The verdict on a drawdown that is not to be routed any more, with why each funder would not have taken it."""
    dropped = [Dropped(rule.code, rule.drops(policy, ask)) for rule in HARD_RULES]
    return _nobody(policy, dropped, [Dropped(rule.code, rule.drops(policy, ask)) for rule in ROTATION_RULES])


def _nobody(policy: Policy, hard: list[Dropped], soft: list[Dropped]) -> Verdict:
    """Every rotation rule that may be given up was."""
    kept = [each for each in soft if each.code not in policy.relax_order]
    return Verdict(
        funder_id=None, candidates=[], excluded=_excluded(policy, hard + kept), relaxed=list(policy.relax_order)
    )


def _reserve(policy: Policy, ask: Ask, ranked: list[tuple[str, float]]) -> Reserve:
    return Reserve(
        id=reservation_id(ask.customer_id, ask.drawdown_id, ask.attempt),
        candidates=tuple(funder_id for funder_id, _ in ranked),
        amount=ask.amount,
        now=ask.now,
        day=shanghai_day(ask.now),
        due=ask.now + policy.config.reservation.ttl_seconds * 1000,
    )


def _excluded(policy: Policy, dropped: list[Dropped]) -> dict[str, list[str]]:
    excluded: dict[str, list[str]] = {funder_id: [] for funder_id in policy.members(_all(dropped))}
    for code, funders in dropped:
        if funders:
            for funder_id in policy.members(funders):
                excluded[funder_id].append(code)
    return excluded


def _all(dropped: list[Dropped]) -> Funders:
    together = 0
    for _, funders in dropped:
        together |= funders
    return together
