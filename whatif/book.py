"""The reservation book of one partition's replay: quick, and told at times what the other partitions hold.

It answers as `rotation.book.MemoryBook` does, for stream time that only moves on; partitions are replayed side by
side, each with a book of its own, and what `moved` here since the last call is `told` to the others.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

import msgspec

from rotation.reservations import MOST, Commit, FunderLimits, Operation, Release, Repay, Reserve, Reserved, Room

Account = tuple[str, str]
"""A funder and a Shanghai day (yyyymmdd), or a funder and nothing: what is owed under its guarantee."""
Amounts = Mapping[Account, tuple[int, int]]
"""Fen and drawdowns of accounts."""


class _Open(msgspec.Struct, gc=False):
    funder_id: str
    day: str
    amount: int
    due: int
    guaranteed: bool


class LaneBook:
    """Quotas and guarantees of the draft, as far as this partition and what it was told of the others fill them."""

    def __init__(self, limits: Mapping[str, FunderLimits]) -> None:
        self._limits = limits
        self._held: defaultdict[Account, list[int]] = defaultdict(lambda: [0, 0])
        self._elsewhere: dict[Account, tuple[int, int]] = {}
        self._moved: set[Account] = set()
        self._said: dict[Account, tuple[int, int]] = {}
        self._open: dict[str, _Open] = {}
        self._due: list[tuple[int, str]] = []
        self._loans: dict[str, tuple[str, int]] = {}

    def reserve(self, asked: Reserve) -> Reserved:
        """Reserve at the first candidate with room."""
        passed_over: list[tuple[str, Room]] = []
        for funder_id in asked.candidates:
            refusal = self.refusal(funder_id, asked)
            if refusal is None:
                self.put(asked, funder_id)
                return Reserved(funder_id, tuple(passed_over))
            passed_over.append((funder_id, refusal))
        return Reserved(None, tuple(passed_over))

    def put(self, asked: Reserve, funder_id: str) -> None:
        """Reserve at this funder, whatever room it has."""
        made = _Open(funder_id, asked.day, asked.amount, asked.due, self._is_guaranteed(funder_id, asked.now))
        self._open[asked.id] = made
        heappush(self._due, (asked.due, asked.id))
        self._count(made, 1)

    def note(self, operations: Iterable[Operation]) -> None:
        """What became of reservations and loans."""
        for operation in operations:
            match operation:
                case Commit(key, funder_id, amount, decided_at, day):
                    self._close(key)
                    guaranteed = self._is_guaranteed(funder_id, decided_at)
                    self._count(_Open(funder_id, day, amount, 0, guaranteed), 1)
                    if guaranteed:
                        self._loans[key] = (funder_id, amount)
                case Release(key):
                    self._close(key)
                case Repay(key, funder_id, outstanding) if key in self._loans:
                    owed = self._loans[key][1]
                    self._loans[key] = (funder_id, min(owed, outstanding))
                    self._add((funder_id, ""), min(outstanding - owed, 0), 0)
                case _:
                    pass

    def held(self) -> Amounts:
        """What this partition itself holds on each account."""
        return {account: (amount, count) for account, (amount, count) in self._held.items()}

    def moved(self) -> dict[Account, tuple[int, int]]:
        """By how much each account changed since the last call."""
        changes: dict[Account, tuple[int, int]] = {}
        for account in self._moved:
            amount, count = self._held[account]
            before, number = self._said.get(account, (0, 0))
            self._said[account] = (amount, count)
            changes[account] = (amount - before, count - number)
        self._moved.clear()
        return changes

    def tell(self, changes: Amounts) -> None:
        """What changed in other partitions."""
        for account, change in changes.items():
            self._elsewhere[account] = plus(self._elsewhere.get(account, (0, 0)), change)

    def refusal(self, funder_id: str, asked: Reserve) -> Room | None:
        """Why this funder has no room for `asked`; what is reserved for it already counts as free."""
        self._expire(asked.now)
        limit = self._limits.get(funder_id)
        if limit is None:
            return "quota_exhausted"
        amount, count = self._total((funder_id, asked.day))
        mine = self._open.get(asked.id)
        own = mine.amount if mine is not None and mine.funder_id == funder_id else 0
        if own and mine is not None and mine.day == asked.day:
            amount, count = amount - own, count - 1
        if amount + asked.amount > min(limit.daily_amount, MOST) or count + 1 > limit.daily_count:
            return "quota_exhausted"
        if limit.enhanced:
            added = self._total((funder_id, ""))[0] + asked.amount - own
            whole = limit.balance + added
            if whole > MOST or (limit.guaranteed + added) / whole > limit.cap:
                return "guarantee_ratio"
        return None

    def _total(self, account: Account) -> tuple[int, int]:
        amount, count = self._held.get(account, (0, 0))
        return plus((amount, count), self._elsewhere.get(account, (0, 0)))

    def _is_guaranteed(self, funder_id: str, decided_at: int) -> bool:
        limit = self._limits.get(funder_id)
        return limit is not None and limit.enhanced and decided_at >= limit.guarantee_since

    def _expire(self, now: int) -> None:
        while self._due and self._due[0][0] <= now:
            due, key = heappop(self._due)
            if key in self._open and self._open[key].due == due:
                self._close(key)

    def _close(self, key: str) -> None:
        made = self._open.pop(key, None)
        if made is not None:
            self._count(made, -1)

    def _count(self, made: _Open, sign: int) -> None:
        self._add((made.funder_id, made.day), sign * made.amount, sign)
        if made.guaranteed:
            self._add((made.funder_id, ""), sign * made.amount, 0)

    def _add(self, account: Account, amount: int, count: int) -> None:
        held = self._held[account]
        held[0] += amount
        held[1] += count
        self._moved.add(account)


def plus(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    """The sum of two accounts."""
    return one[0] + other[0], one[1] + other[1]
