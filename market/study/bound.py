"""How much a policy could have earned at most: the best assignment of a run's drawdowns to funders, in hindsight.

A linear program for each day, since quotas are of a day: each attempt that was placed, or that nobody took, goes to the
funders that might have had it, in parts that sum to one at most, so that expected loans stay within each funder's daily
amount and count. What a part earns is what a run would earn by it on average: fees less the cost of capture, given the
truth. The program knows the whole day beforehand, may split a drawdown, and obeys no rotation rule, no pause by the
ladder and no guarantee ratio; what went before (lines, debts, relationships, who is gone) is as it was in the run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import highspy
import numpy as np

from config.rotation import Quota


class Prospect(NamedTuple):
    """What a drawdown at a funder comes to on average: fees less what capture costs (fen), and the chance of a loan."""

    value: float
    lends: float


class Placement(NamedTuple):
    """An attempt on a Shanghai day: its amount (fen), whoever might have had it, and who got it (None: nobody)."""

    day: int
    amount: int
    prospects: Mapping[str, Prospect]
    chosen: str | None

    @property
    def expected(self) -> float:
        """What it came to where it went, on average (fen)."""
        return 0.0 if self.chosen is None else self.prospects[self.chosen].value


class _Silent(highspy.Highs):
    """The solver without its banner, which would stand in the way of what a command prints."""

    def enableCallbacks(self) -> None:  # its constructor calls it, and then prints
        self.silent()
        super().enableCallbacks()  # type: ignore[no-untyped-call]


def bound(placements: Iterable[Placement], quotas: Mapping[str, Quota]) -> float:
    """The most that these attempts could have earned, on average (fen)."""
    by_day: defaultdict[int, list[Placement]] = defaultdict(list)
    for placement in placements:
        by_day[placement.day].append(placement)
    return sum(_best(of_day, quotas) for of_day in by_day.values())


def _best(placements: Sequence[Placement], quotas: Mapping[str, Quota]) -> float:
    """The program of one day: a row for each attempt, then an amount and a count for each funder."""
    rows = {funder_id: len(placements) + 2 * place for place, funder_id in enumerate(quotas)}
    # Money in yuan keeps the numbers of a column within a few powers of ten of each other.
    parts = [
        (prospect.value / 100, number, rows[funder_id], prospect.lends * placement.amount / 100, prospect.lends)
        for number, placement in enumerate(placements)
        for funder_id, prospect in placement.prospects.items()
        if prospect.value > 0
    ]
    if not parts:
        return 0.0
    value, number, row, amount, count = (np.array(each) for each in zip(*parts, strict=True))
    limits = [limit for quota in quotas.values() for limit in (quota.daily_amount / 100, quota.daily_count)]
    program = highspy.HighsLp()
    program.sense_ = highspy.ObjSense.kMaximize
    program.num_col_, program.num_row_ = len(parts), len(placements) + len(limits)
    program.col_cost_ = value
    program.col_lower_, program.col_upper_ = np.zeros(len(parts)), np.ones(len(parts))
    program.row_lower_ = np.full(program.num_row_, -highspy.kHighsInf)
    program.row_upper_ = np.concatenate([np.ones(len(placements)), limits])
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_ = np.arange(0, 3 * len(parts) + 1, 3)
    program.a_matrix_.index_ = np.stack([number, row, row + 1], axis=1).ravel()
    program.a_matrix_.value_ = np.stack([np.ones(len(parts)), amount, count], axis=1).ravel()
    solver = _Silent()  # type: ignore[no-untyped-call]
    solver.passModel(program)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"the bound of a day was not found: {solver.modelStatusToString(solver.getModelStatus())}")
    return 100 * float(solver.getInfo().objective_function_value)
