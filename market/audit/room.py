"""The limits that all borrowers share: a funder's quota of a Shanghai day, and its guarantee ratio."""

from collections import defaultdict
from functools import partial

from config.rotation import Funder, Guarantee
from market.audit.history import Decided, History
from market.audit.loans import Usage, shanghai_day
from market.audit.log import time_ms


class Rooms:
    """What is taken of every limit at every time, from the decisions and outcomes alone.

    `skew_ms` is how far the stream times of partitions may lie apart at one moment: an outcome on one partition may
    have made room for a decision on another that is stamped that much earlier.
    """

    def __init__(self, history: History, *, skew_ms: int) -> None:
        self._history = history
        self._days: dict[tuple[str, int], Usage] = defaultdict(partial(Usage, skew_ms=skew_ms, committed_for_good=True))
        self._guaranteed: dict[tuple[str, str], Usage] = defaultdict(
            partial(Usage, skew_ms=skew_ms, committed_for_good=False)
        )
        self._routed = [d for x in history.drawdowns.values() for d in x.decided if d.loan is not None]
        since = {
            (funder.id, funder.guarantee.as_of): time_ms(funder.guarantee.as_of)
            for revision in history.revisions.values()
            for funder in revision.config.funders
            if funder.guarantee
        }
        for decided in self._routed:
            if decided.loan is None:
                continue
            loan = decided.loan
            self._days[loan.funder_id, shanghai_day(loan.decided_at)].add(loan)
            for (funder_id, as_of), start in since.items():
                if funder_id == loan.funder_id and loan.decided_at >= start:
                    self._guaranteed[funder_id, as_of].add(loan)

    def check(self) -> None:
        """Report every decision that overran a limit."""
        for decided in self._routed:
            funder = self._funder(decided)
            if funder is None:
                continue
            where, at = decided.decision.decision_id, decided.decided_at
            amount, count = self._days[funder.id, shanghai_day(at)].low(at)
            if amount > funder.quota.daily_amount or count > funder.quota.daily_count:
                self._history.report.add("quota_overrun", where, f"{funder.id}: {amount} fen, {count} drawdowns")
            if funder.guarantee and funder.guarantee.enhanced:
                taken, _ = self._guaranteed[funder.id, funder.guarantee.as_of].low(at)
                if _over_cap(funder.guarantee, taken):
                    self._history.report.add("guarantee_overrun", where, f"{funder.id}: {taken} fen")

    def possibly_full(self, funder: Funder, at: int, amount: int) -> set[str]:
        """The codes of limits of `funder` that `amount` (fen) may have been too much for at `at` (ms)."""
        codes = set()
        taken, count = self._days[funder.id, shanghai_day(at)].high(at)
        if taken + amount > funder.quota.daily_amount or count + 1 > funder.quota.daily_count:
            codes.add("quota_exhausted")
        if funder.guarantee and funder.guarantee.enhanced:
            guaranteed, _ = self._guaranteed[funder.id, funder.guarantee.as_of].high(at)
            if _over_cap(funder.guarantee, guaranteed + amount):
                codes.add("guarantee_ratio")
        return codes

    def _funder(self, decided: Decided) -> Funder | None:
        config = self._history.config(decided.decision)
        return next((funder for funder in config.funders if funder.id == decided.decision.funder_id), None)


def _over_cap(guarantee: Guarantee, taken: int) -> bool:
    """Whether the guaranteed share is over the cap, by more than the rounding of one fen."""
    return guarantee.guaranteed + taken - guarantee.cap * (guarantee.balance + taken) > 1
