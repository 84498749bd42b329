"""Reservations as values: what the core asks of the shared book, and what the book answers.

The book itself is Redis for the workers (`streams.reservations`) and plain memory for replay
(`rotation.book`); both give the same answers to the same operations. Every operation is idempotent, keyed by
`id`, so that a batch that is done again after a crash changes nothing.

Money is fen up to 2**53 - 1, the largest integer that is exact in the book's script; so are a funder's total of a day
and the sums under its guarantee ratio (90 trillion yuan): a reservation that would pass that is refused. The structs
are arrays on the wire (`array_like`), in the order of their fields, because the script reads them by position.
"""

from typing import Literal

import msgspec

Room = Literal["quota_exhausted", "guarantee_ratio"]
MOST = 2**53 - 1


class FunderLimits(msgspec.Struct, frozen=True, array_like=True):
    """What the book has to know of one funder, from the active revision. Money in fen.

    `enhanced` tells that all its loans are guaranteed; `guarantee_since` (ms) is when `balance` and
    `guaranteed` were true: only principal decided at or after it is added to them.
    """

    daily_amount: int
    daily_count: int
    enhanced: bool = False
    balance: int = 0
    guaranteed: int = 0
    cap: float = 1.0
    guarantee_since: int = 0


class Reserve(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Reserve `amount` at the first of `candidates` (best first) that has room on the day of `now`.

    The same operation again gets the same answer. With another stamp or amount it is judged again, the funder of the
    earlier answer first if it is still offered; a committed one is never changed.

    `id` is `customer_id/drawdown_id:attempt`; `now` is the decision's stream time and `due` the time (both ms)
    at which the reservation ends by itself; `day` is the Shanghai day of `now`, as yyyymmdd.
    """

    id: str
    candidates: tuple[str, ...]
    amount: int
    now: int
    day: str
    due: int


class Reserved(msgspec.Struct, frozen=True, array_like=True):
    """The book's answer: the funder with room, or None, and those passed over before it with the reason.

    A funder without room for both reasons is `quota_exhausted`.
    """

    funder_id: str | None
    passed_over: tuple[tuple[str, Room], ...] = ()


class Commit(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The money moved: the reservation counts as `amount`, for good, on the day of its decision.

    Carries the whole reservation, since it may have ended (or been lost) before.
    """

    id: str
    funder_id: str
    amount: int
    decided_at: int
    day: str


class Release(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The reservation came to nothing."""

    id: str
    funder_id: str


class Repay(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """At most `outstanding` (fen) is still owed on this loan. It never rises again.

    Told after the loan's `Commit`: of a loan that the book does not hold, there is nothing to lower.
    """

    id: str
    funder_id: str
    outstanding: int


class Restore(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Tell a book that lost its memory of one reservation or loan, from the borrower's record.

    `due` is None when committed. `outstanding` is the reserved or owed principal.
    """

    id: str
    funder_id: str
    amount: int
    decided_at: int
    day: str
    due: int | None
    outstanding: int


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What a funder's quota of one day and its guarantee hold: fen, drawdowns, and G (0 unless enhanced)."""

    amount: int
    count: int
    guaranteed: int


Operation = Reserve | Commit | Release | Repay | Restore


def reservation_id(customer_id: str, drawdown_id: str, attempt: int) -> str:
    """The book's key of one attempt."""
    return f"{customer_id}/{drawdown_id}:{attempt}"
