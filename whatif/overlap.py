"""How likely two configurations choose the same funder, and how much a recorded outcome tells of a draft's choices.

Both draw by the same hash of drawdown and funder (`rotation.choice`): funder j gets the key −ln(u_j)/weight_j, the
smallest key is first. With the same u in both draws they agree as often as two such draws can (Moulton & Jiang 2018).
"""

from collections.abc import Mapping
from math import fsum

Weights = Mapping[str, float]
"""The funders left in a draw with their weights; all of them zero means that the first one named comes first."""


def parts(weights: Weights) -> dict[str, float]:
    """Each funder's probability of being first."""
    total = sum(weights.values(), 0.0)
    if total > 0:
        return {funder_id: weight / total for funder_id, weight in weights.items()}
    return {funder_id: float(n == 0) for n, funder_id in enumerate(weights)}


def both(funder_id: str, one: Weights, other: Weights, *, same_seed: bool) -> float:
    """The probability that both draws put the funder first.

    It is first in both when every other j has u_j beyond max(one_j/one_f, other_j/other_f) times its own: exponentials,
    so the probability is 1 over the sum of these. With different seeds the draws are independent.
    """
    return _both(funder_id, parts(one), parts(other), same_seed=same_seed)


def _both(funder_id: str, one: Weights, other: Weights, *, same_seed: bool) -> float:
    mine, yours = one.get(funder_id, 0.0), other.get(funder_id, 0.0)
    if mine <= 0 or yours <= 0:
        return 0.0
    if not same_seed:
        return mine * yours
    # Summed exactly: a set of names has another order in each process.
    return 1 / fsum([max(one.get(j, 0.0) / mine, other.get(j, 0.0) / yours) for j in one.keys() | other.keys()])


def moved_weight(chosen: str, recorded: Weights, draft: Weights, *, same_seed: bool) -> float:
    """The weight of the outcome of `chosen` in the mean over drawdowns that a draft moves to it from another funder.

    Inverse propensity (Horvitz & Thompson 1952): P(the draft chooses it and the record did not) / P(the record did).
    """
    before, after = parts(recorded), parts(draft)
    moved = after.get(chosen, 0.0) - _both(chosen, before, after, same_seed=same_seed)
    return moved / before[chosen] if moved > _ROUNDING else 0.0


#: Propensities are recorded with nine digits: what two equal draws seem to differ by is less than this.
_ROUNDING = 1e-8
