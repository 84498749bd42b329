"""What a draft's choices would have come to, from outcomes that were recorded under other choices.

Each drawdown is one row. Where the draft's first choice is the recorded one, the recorded outcome is what would have
been. Where it is another funder that the record might have chosen too, the outcome is the mean over the drawdowns that
did go to that funder, weighted by inverse propensity (`whatif.overlap`) and self-normalised funder by funder
(Swaminathan & Joachims 2015). Where it is a funder that the record could not have chosen, nothing is known: such rows
are counted apart, and an interval reaches from none to all of them being loans.

Intervals (95%) are percentiles of a bootstrap over borrowers: the drawdowns of one borrower hang together, so borrowers
are drawn anew, not drawdowns; and a ratio of sums is skewed when few rows carry it, so no normal bound is put on it.
Borrowers are gathered in blocks, which are drawn instead: that changes nothing but the work.
"""

from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NOBODY = -1
#: Blocks of borrowers: enough that drawing blocks is like drawing borrowers.
BLOCKS = 1024
_ROUNDS = 1000
_LOW, _HIGH = 2.5, 97.5
_SEED = 20_260_101


class Samples(NamedTuple):
    """Drawdowns as columns; funders by their place in a list, `NOBODY` when there is none. K values are measured.

    `chosen` is the recorded first choice, `draft` that of the draft, `covered` whether the record might have made the
    latter. `weight` is that of the recorded outcome among the drawdowns that move to its funder. `before` are the
    recorded values (n x K), `after` the same as the draft would count them, `most` what a loan would come to.
    """

    block: Ints
    chosen: Ints
    draft: Ints
    covered: npt.NDArray[np.bool_]
    weight: Floats
    before: Floats
    after: Floats
    most: Floats


class Value(msgspec.Struct, frozen=True):
    """A total before and after, and the change; intervals are `[low, high]`."""

    before: float
    after: float
    after_interval: tuple[float, float]
    change: float
    change_interval: tuple[float, float]


class MovedTo(msgspec.Struct, frozen=True):
    """The drawdowns that move to a funder, the outcomes that tell of them, and their mean values.

    `effective` is how many equally weighted outcomes would tell as much: (Σw)²/Σw² (Kish 1965).
    """

    drawdowns: int
    outcomes: int
    effective: float
    means: list[float]
    intervals: list[tuple[float, float]]


class Estimates(msgspec.Struct, frozen=True):
    """What is known of a draft. The counts are of drawdowns, each of one kind.

    `same`: the recorded choice (or nobody, both times); `moved`: to a funder that the record might have chosen;
    `unserved`: to nobody; `uncovered`: to a funder of which the record can tell nothing.
    """

    values: list[Value]
    same: int
    moved: int
    unserved: int
    uncovered: int
    moved_to: dict[int, MovedTo]


def estimate(samples: Samples) -> Estimates:
    """The totals of each value under the draft. Same samples, same estimates."""
    kinds = _kinds(samples)
    sums = _sums(samples, kinds)
    rounds = _bootstrap(samples)
    drawn = _Sums(*(_draw(rounds, each) for each in sums))
    whole = _Sums(*(each.sum(axis=0, keepdims=True) for each in sums))
    after, after_all = _after(whole, whole), _after(drawn, whole)
    values = [
        Value(
            before=_told(whole.before[0, k]),
            after=_told(after[0, k]),
            after_interval=_interval(after_all[:, k], after_all[:, k] + drawn.most[:, k]),
            change=_told(after[0, k] - whole.before[0, k]),
            change_interval=_interval(
                after_all[:, k] - drawn.before[:, k], after_all[:, k] + drawn.most[:, k] - drawn.before[:, k]
            ),
        )
        for k in range(samples.before.shape[1])
    ]
    return Estimates(
        values=values,
        same=int(kinds.same.sum()),
        moved=int(kinds.moved.sum()),
        unserved=int(kinds.unserved.sum()),
        uncovered=int(kinds.uncovered.sum()),
        moved_to={
            funder: _moved_to(samples, kinds, funder, whole, drawn)
            for funder in np.flatnonzero(whole.moved[0]).tolist()
        },
    )


class _Kinds(NamedTuple):
    same: npt.NDArray[np.bool_]
    moved: npt.NDArray[np.bool_]
    unserved: npt.NDArray[np.bool_]
    uncovered: npt.NDArray[np.bool_]


class _Sums(NamedTuple):
    """Sums over blocks (rows): K values, F funders, K x F of both."""

    before: Floats
    same: Floats
    most: Floats
    moved: Floats
    weight: Floats
    weighted: Floats


def _kinds(samples: Samples) -> _Kinds:
    same = samples.draft == samples.chosen
    unserved = ~same & (samples.draft == NOBODY)
    elsewhere = ~same & ~unserved
    told = np.bincount(samples.chosen + 1, weights=samples.weight, minlength=_funders(samples) + 1)[1:] > 0
    moved = elsewhere & samples.covered & told[samples.draft]
    return _Kinds(same, moved, unserved, elsewhere & ~moved)


def _funders(samples: Samples) -> int:
    return int(max(samples.chosen.max(initial=0), samples.draft.max(initial=0))) + 1


def _sums(samples: Samples, kinds: _Kinds) -> _Sums:
    funders, values = _funders(samples), range(samples.before.shape[1])

    def by_block(weights: Floats) -> Floats:
        summed: Floats = np.bincount(samples.block, weights=weights, minlength=BLOCKS).astype(np.float64)
        return summed

    def by_funder(funder: Ints, weights: Floats) -> Floats:
        served = funder != NOBODY
        cell = samples.block[served] * funders + funder[served]
        summed = np.bincount(cell, weights=weights[served], minlength=BLOCKS * funders)
        return summed.reshape(BLOCKS, funders).astype(np.float64)

    return _Sums(
        before=np.stack([by_block(samples.before[:, k]) for k in values], axis=1),
        same=np.stack([by_block(samples.after[:, k] * kinds.same) for k in values], axis=1),
        most=np.stack([by_block(samples.most[:, k] * kinds.uncovered) for k in values], axis=1),
        moved=by_funder(samples.draft, kinds.moved.astype(np.float64)),
        weight=by_funder(samples.chosen, samples.weight),
        weighted=np.stack([by_funder(samples.chosen, samples.weight * samples.after[:, k]) for k in values], axis=1),
    )


def _bootstrap(samples: Samples) -> Floats:
    """How often each block is drawn in each round; blocks without borrowers are left out."""
    filled = np.bincount(samples.block, minlength=BLOCKS) > 0
    drawn = np.zeros((_ROUNDS, BLOCKS))
    if filled.any():
        number = int(filled.sum())
        drawn[:, filled] = np.random.default_rng(_SEED).multinomial(number, np.full(number, 1 / number), size=_ROUNDS)
    return drawn


def _draw(rounds: Floats, sums: Floats) -> Floats:
    drawn: Floats = np.tensordot(rounds, sums, axes=1)
    return drawn


def _after(sums: _Sums, otherwise: _Sums) -> Floats:
    """Totals after, each row of sums by itself; means of which a row holds nothing are those of `otherwise`."""
    total: Floats = sums.same + np.einsum("rf,rkf->rk", sums.moved, _means(sums, otherwise))
    return total


def _means(sums: _Sums, otherwise: _Sums) -> Floats:
    known, fallback = sums.weight > 0, otherwise.weight > 0
    usual = np.where(fallback[:, None], otherwise.weighted / np.where(fallback, otherwise.weight, 1)[:, None], 0)
    means: Floats = np.where(known[:, None], sums.weighted / np.where(known, sums.weight, 1)[:, None], usual)
    return means


def _moved_to(samples: Samples, kinds: _Kinds, funder: int, whole: _Sums, drawn: _Sums) -> MovedTo:
    weights = samples.weight[samples.chosen == funder]
    weights = weights / weights.max()  # so that no square of a small one is lost
    means, spread = _means(whole, whole)[0, :, funder], _means(drawn, whole)[:, :, funder]
    return MovedTo(
        drawdowns=int((kinds.moved & (samples.draft == funder)).sum()),
        outcomes=int((weights > 0).sum()),
        effective=_told(weights.sum() ** 2 / (weights**2).sum()),
        means=[_told(mean) for mean in means],
        intervals=[_interval(each, each) for each in spread.T],
    )


def _interval(lows: Any, highs: Any) -> tuple[float, float]:
    return _told(np.percentile(lows, _LOW)), _told(np.percentile(highs, _HIGH))


def _told(number: Any) -> float:
    """Twelve digits: the last bits of sums are the machine's own."""
    return float(f"{number:.12g}")
