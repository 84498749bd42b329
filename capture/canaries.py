"""Detector of canaries that were called: an exact binomial test.

A canary is a consenting member of staff who draws money; a marketing call to one is counted for the funder that
saw it. `control_rate` is how often accounts are called that no funder ever saw: the platform knows it from its control
accounts. The k-th call is tested at alpha/(k(k+1)), which sums to `alpha` over all calls there will ever be, so
looking after every call makes no more false alarms than looking once.
"""

import math

from capture.record import Canary, FunderRecord


def p_value(called: int, seen: int, control_rate: float) -> float:
    """The chance that `called` or more of `seen` canaries are called when the funder does nothing."""
    return min(1.0, math.fsum(_exactly(k, seen, control_rate) for k in range(called, seen + 1)))


def _exactly(called: int, seen: int, rate: float) -> float:
    """The binomial probability; by logarithms, since the number of choices of a thousand exceeds a float."""
    choices = math.lgamma(seen + 1) - math.lgamma(called + 1) - math.lgamma(seen - called + 1)
    return math.exp(choices + called * math.log(rate) + (seen - called) * math.log1p(-rate))


def level(called: int, alpha: float) -> float:
    """The p value at which the `called`-th call is an alarm."""
    return alpha / (called * (called + 1))


def saw(record: FunderRecord, customer_id: str, at: int) -> None:
    """The funder answered a canary's drawdown, which was routed to it at `at` (ms)."""
    canary = record.canaries.setdefault(customer_id, Canary())
    canary.seen_at = min(canary.seen_at or at, at)


def called(record: FunderRecord, customer_id: str, at: int) -> None:
    """A canary says to have been called at `at` (ms)."""
    canary = record.canaries.setdefault(customer_id, Canary())
    # If any call came after the funder had seen them, the last one did.
    canary.called_at = max(canary.called_at, at)
