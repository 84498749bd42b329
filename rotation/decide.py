"""One attempt of one drawdown: which funders pass, in which order, and who has room.

The reservation book is outside (it is shared by all workers), so a decision is a generator: it yields a
`Reserve` and is sent the book's answer.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TypeVar

import msgspec

from rotation.choice import draw
from rotation.clock import shanghai_day
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved, reservation_id
from rotation.roster import NOBODY, Funders, union
from rotation.rules import HARD_RULES, RESERVATION_CODES, ROTATION_RULES, Ask

T = TypeVar("T")
_JUDGED = [(rule.code, rule.drops) for rule in (*HARD_RULES, *ROTATION_RULES)]
_LISTED = (*(rule.code for rule in HARD_RULES), *RESERVATION_CODES, *(rule.code for rule in ROTATION_RULES))
#: Steps of the core that may have to ask the reservation book on their way.
Steps = Generator[Reserve, Reserved, T]


class Verdict(msgspec.Struct, frozen=True):
    """Who takes the drawdown (`funder_id`, None for nobody), and all that explains it.

    `dropped` are the funders that each code drops, if it does, in the order in which a decision lists codes.
    """

    funder_id: str | None
    candidates: list[tuple[str, float]]
    dropped: dict[str, Funders]
    relaxed: list[str]


def decide(policy: Policy, ask: Ask) -> Steps[Verdict]:
    """Find the first funder with room, giving up rotation rules in order only when nobody is left."""
    dropped = _judge(policy, ask)
    relaxed: list[str] = []
    while True:
        left = policy.roster.everyone & ~union(dropped.values())
        if left:
            stakes = policy.stakes(ask.risk_grade, left)
            ranked = draw(stakes, policy.config.selection.seed, ask.drawdown_id, ask.attempt)
            answer = yield _reserve(policy, ask, ranked)
            # Who had no room on this level has none on the next: it stays out, whatever is relaxed.
            if answer.passed_over:
                for funder_id, code in answer.passed_over:
                    dropped[code] = dropped.get(code, NOBODY) | policy.roster.bits[funder_id]
                dropped = _listed(dropped)
            if answer.funder_id is not None:
                if answer.passed_over:
                    passed_over = {funder_id for funder_id, _ in answer.passed_over}
                    ranked = [each for each in ranked if each[0] not in passed_over]
                return Verdict(answer.funder_id, ranked, dropped, relaxed)
        if len(relaxed) == len(policy.relax_order):
            return Verdict(None, [], dropped, relaxed)
        rule = policy.relax_order[len(relaxed)]
        relaxed.append(rule)
        dropped.pop(rule, None)


def run_to_end(steps: Steps[T], answer: Callable[[Reserve], Reserved]) -> T:
    """Run steps to their end; what they return."""
    try:
        asked = next(steps)
        while True:
            asked = steps.send(answer(asked))
    except StopIteration as end:
        result: T = end.value
        return result


def reject(policy: Policy, ask: Ask, no_room: Mapping[str, Iterable[str]]) -> Verdict:
    """The verdict on a drawdown that is not to be routed any more: why no funder would take it, rules relaxed.

    `no_room` are the funders that lacked room at the last try, by code; those not configured any more are left out.
    """
    dropped = _judge(policy, ask)
    for rule in policy.relax_order:
        dropped.pop(rule, None)
    dropped |= {code: policy.roster.set_of(funder_ids) for code, funder_ids in no_room.items()}
    return Verdict(None, [], _listed(dropped), list(policy.relax_order))


def _judge(policy: Policy, ask: Ask) -> dict[str, Funders]:
    """The funders that each rule drops, by its code, in the order in which codes are listed."""
    dropped: dict[str, Funders] = {}
    for code, drops in _JUDGED:
        funders = drops(policy, ask)
        if funders:
            dropped[code] = funders
    return dropped


def _listed(dropped: dict[str, Funders]) -> dict[str, Funders]:
    return {code: dropped[code] for code in _LISTED if dropped.get(code)}


def _reserve(policy: Policy, ask: Ask, ranked: list[tuple[str, float]]) -> Reserve:
    return Reserve(
        id=reservation_id(ask.customer_id, ask.drawdown_id, ask.attempt),
        candidates=tuple([funder_id for funder_id, _ in ranked]),
        amount=ask.amount,
        now=ask.now,
        day=shanghai_day(ask.now),
        due=ask.now + policy.config.reservation.ttl_seconds * 1000,
    )
