"""What may be the matter with a funder: the hypotheses that all evidence is weighed by.

Either it captures, in one of `WAYS`; or it is honest, and since some day one of `CHANGES` turns more of its borrowers
down and loses none of them: tighter credit, a dearer price, worse service.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rotation.outputs import Departure

Floats = npt.NDArray[np.float64]

#: How likely it is beforehand that the best grades alone are meant, however many they are; if not, each grade is meant
#: for itself, as likely as `_GRADE_TOO`.
_BEST_GRADES, _GRADE_TOO = 0.7, 0.6


class Way(NamedTuple):
    """A hypothesis: it happens to a `share` of the borrowers, and `appears` tells what part of it as each departure."""

    share: float
    appears: dict[Departure, float]


_SHARES = (0.015, 0.03, 0.05, 0.08, 0.12, 0.2)
#: Capture at the drawdown, of borrowers who are refused or walk away, or offline, of those who take a loan.
WAYS = (
    *(Way(share, {"refusal": part, "walk_away": 1 - part}) for share in _SHARES for part in (0.2, 0.5, 0.8)),
    *(Way(share, {"loan": 1.0}) for share in (0.03, 0.05, 0.08, 0.12, 0.2, 0.3)),
)
#: What an honest funder does more often than before, for reasons of its own.
CHANGES = tuple(
    Way(share, {"refusal": part, "walk_away": 1 - part}) for share in _SHARES for part in (0.0, 0.2, 0.5, 0.8, 1.0)
)


def weigh_all(ratios: Floats, takes: Floats) -> tuple[float, Floats]:
    """Weigh ways, beginnings and sets of grades, all by how likely they now are.

    `ratios` are log likelihood ratios against a funder with whom nothing is the matter: by grade, best first, by way,
    and by beginning. `takes` is, by grade and way, the share of the borrowers that it takes. Returns the log Bayes
    factor of all together, and the share that is taken in each grade if any of it is true.
    """
    of_best = np.cumsum(ratios, axis=0) + math.log(_BEST_GRADES / len(ratios))
    with_grade = math.log(_GRADE_TOO) + ratios
    either = np.logaddexp(with_grade, math.log(1 - _GRADE_TOO))
    of_any = either.sum(axis=0) + math.log(1 - _BEST_GRADES)
    top = max(of_best.max(), of_any.max())
    of_best, of_any = np.exp(of_best - top), np.exp(of_any - top)
    mass = of_best.sum() + of_any.sum()
    # The best grades down to any that is not better hold a grade too.
    held = np.cumsum(of_best[::-1], axis=0)[::-1] + of_any * np.exp(with_grade - either)
    return float(top + math.log(mass / ratios[0].size)), (held.sum(axis=2) * takes).sum(axis=1) / mass
