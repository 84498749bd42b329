"""How many a funder turns down, against itself before: what share of all answers is a refusal, or a walk-away?

What the funder would turn down without any change is not known but from its own answers. So each hypothesis is given
the share that suits it best, as is nothing having changed (a profile likelihood).
"""

from collections.abc import Sequence

import numpy as np

from capture.hypotheses import Floats, Way
from rotation.outputs import Departure

#: Shares are found to 2⁻²⁰, by halving.
_HALVINGS = 20


def missed_log_ratio(missed: Floats, answered: Floats, kind: Departure, ways: Sequence[Way]) -> Floats:
    """By way and beginning: how much more likely the misses of a kind are with that change than without any.

    `missed` of `answered` are by cohort, newest first.
    """
    at_drawdown = [place for place, way in enumerate(ways) if "loan" not in way.appears]
    share = np.array([[ways[place].share] for place in at_drawdown])
    adds = np.array([[ways[place].share * ways[place].appears[kind]] for place in at_drawdown])
    since, answered_since = np.cumsum(missed), np.cumsum(answered)
    before, answered_before = since[-1] - since, answered_since[-1] - answered_since
    low, high = np.zeros((len(share), len(missed))), np.ones((len(share), len(missed)))
    for _ in range(_HALVINGS):
        usual = (low + high) / 2
        changed = (1 - share) * usual + adds
        # The likelihood is concave in the share: where it still rises, the best lies above.
        slope = before / usual - (answered_before - before) / (1 - usual)
        slope += (1 - share) * (since / changed - (answered_since - since) / (1 - changed))
        low, high = np.where(slope > 0, usual, low), np.where(slope > 0, high, usual)
    usual = (low + high) / 2
    told = _likely(before, answered_before, usual) + _likely(since, answered_since, (1 - share) * usual + adds)
    ratios = np.zeros((len(ways), len(missed)))
    ratios[at_drawdown] = told - _likely(since[-1], answered_since[-1], since[-1] / max(1.0, answered_since[-1]))
    return ratios


def _likely(misses: Floats, answers: Floats, chance: Floats) -> Floats:
    """The log likelihood of so many misses; nothing is as likely as what never happens not happening."""
    inside: Floats = np.clip(chance, 1e-12, 1 - 1e-12)
    return misses * np.log(inside) + (answers - misses) * np.log1p(-inside)
