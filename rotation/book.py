"""The reservation book in plain memory: what each funder's quotas and guarantee hold, by the laws of the contract.

A funder's room is what its limits leave after all committed amounts and all reservations that are not yet due at the
asking call's `now`. Calls come from partitions with different stream times, so a reservation that has ended for one
call still counts for another: nothing is thrown away because time passed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from rotation.reservations import (
    MOST,
    Commit,
    FunderLimits,
    Operation,
    Release,
    Repay,
    Reserve,
    Reserved,
    Restore,
    Room,
    Usage,
)

State = Literal["reserved", "committed", "released"]


class _Record(msgspec.Struct, frozen=True):
    """What the book knows of one id. `most_owed` is the least that a `Repay` left."""

    state: State
    funder_id: str
    amount: int = 0
    decided_at: int = 0
    day: str = ""
    due: int = 0
    most_owed: int = MOST
    passed_over: tuple[tuple[str, Room], ...] = ()

    @property
    def principal(self) -> int:
        return min(self.amount, self.most_owed)

    def answers(self, asked: Reserve) -> bool:
        """Whether `asked` is the very operation that made this record."""
        return self.due == asked.due and self.day == asked.day and self.amount == asked.amount


class _Account:
    """A sum over loans, which are for good, and over open reservations, each until it is due."""

    def __init__(self) -> None:
        self._amount = 0
        self._count = 0
        self._open: dict[str, tuple[int, int]] = {}

    def put(self, key: str, amount: int, due: int | None) -> None:
        if due is None:
            self._amount += amount
            self._count += 1
        else:
            self._open[key] = (amount, due)

    def take(self, key: str, amount: int, due: int | None) -> None:
        if due is None:
            self._amount -= amount
            self._count -= 1
        else:
            del self._open[key]

    def used(self, now: int) -> tuple[int, int]:
        live = [amount for amount, due in self._open.values() if due > now]
        return self._amount + sum(live), self._count + len(live)


class MemoryBook:
    """A book for one process: replay, what-if, and the model that the shared book is tested against.

    A funder that `limits` do not name has no room.
    """

    def __init__(self, limits: Mapping[str, FunderLimits]) -> None:
        self._records: dict[str, _Record] = {}
        self.limits = limits

    @property
    def limits(self) -> Mapping[str, FunderLimits]:
        """The limits of the active revision. Setting them counts every guarantee anew."""
        return self._limits

    @limits.setter
    def limits(self, limits: Mapping[str, FunderLimits]) -> None:
        self._limits = limits
        self._quotas: defaultdict[tuple[str, str], _Account] = defaultdict(_Account)
        self._guarantees: defaultdict[str, _Account] = defaultdict(_Account)
        for key, record in self._records.items():
            for account, amount, due in self._weights(record):
                account.put(key, amount, due)

    def apply(self, operations: Iterable[Operation]) -> list[Reserved | None]:
        """Do `operations` in order. One answer for each: of a `Reserve` its `Reserved`, of the others None."""
        answers: list[Reserved | None] = []
        for operation in operations:
            if isinstance(operation, Reserve):
                answers.append(self._reserve(operation))
            else:
                self._note(operation)
                answers.append(None)
        return answers

    def usage(self, day: str, now: int) -> dict[str, Usage]:
        """What each funder of `limits` holds on a Shanghai day (yyyymmdd), as a call at `now` (ms) sees it."""
        return {
            funder_id: Usage(*self._quotas[funder_id, day].used(now), self._guarantees[funder_id].used(now)[0])
            for funder_id in self.limits
        }

    def contents(self) -> Iterator[Restore]:
        """The reservations and loans of this book, as operations that make another one hold the same."""
        for key, record in self._records.items():
            if record.state in ("reserved", "committed"):
                due = record.due if record.state == "reserved" else None
                yield Restore(
                    key, record.funder_id, record.amount, record.decided_at, record.day, due, record.principal
                )

    def _weights(self, record: _Record) -> Sequence[tuple[_Account, int, int | None]]:
        """The accounts in which a record counts, with how much, and until when."""
        if record.state not in ("reserved", "committed"):
            return ()
        due = record.due if record.state == "reserved" else None
        quota = (self._quotas[record.funder_id, record.day], record.amount, due)
        limit = self.limits.get(record.funder_id)
        if limit is None or not limit.enhanced or record.decided_at < limit.guarantee_since:
            return (quota,)
        return (quota, (self._guarantees[record.funder_id], record.principal, due))

    def _put(self, key: str, record: _Record) -> None:
        self._drop(key)
        self._records[key] = record
        for account, amount, due in self._weights(record):
            account.put(key, amount, due)

    def _drop(self, key: str) -> None:
        if key in self._records:
            for account, amount, due in self._weights(self._records.pop(key)):
                account.take(key, amount, due)

    def _refusal(self, funder_id: str, asked: Reserve) -> Room | None:
        limit = self.limits.get(funder_id)
        if limit is None:
            return "quota_exhausted"
        amount, count = self._quotas[funder_id, asked.day].used(asked.now)
        if amount + asked.amount > min(limit.daily_amount, MOST) or count + 1 > limit.daily_count:
            return "quota_exhausted"
        if limit.enhanced:
            added = self._guarantees[funder_id].used(asked.now)[0] + asked.amount
            whole = limit.balance + added
            if whole > MOST or (limit.guaranteed + added) / whole > limit.cap:
                return "guarantee_ratio"
        return None

    def _reserve(self, asked: Reserve) -> Reserved:
        stored = self._records.get(asked.id)
        offered = stored is not None and stored.funder_id in asked.candidates
        if stored is not None and (stored.state == "committed" or (offered and stored.answers(asked))):
            return Reserved(stored.funder_id, stored.passed_over)
        self._drop(asked.id)
        if stored is not None and offered and self._refusal(stored.funder_id, asked) is None:
            return self._keep(asked, stored.funder_id, stored.passed_over)
        passed_over: list[tuple[str, Room]] = []
        for funder_id in asked.candidates:
            refusal = self._refusal(funder_id, asked)
            if refusal is None:
                return self._keep(asked, funder_id, tuple(passed_over))
            passed_over.append((funder_id, refusal))
        return Reserved(None, tuple(passed_over))

    def _keep(self, asked: Reserve, funder_id: str, passed_over: tuple[tuple[str, Room], ...]) -> Reserved:
        self._put(
            asked.id,
            _Record("reserved", funder_id, asked.amount, asked.now, asked.day, asked.due, passed_over=passed_over),
        )
        return Reserved(funder_id, passed_over)

    def _note(self, operation: Commit | Release | Repay | Restore) -> None:
        stored = self._records.get(operation.id)
        same = stored if stored is not None and stored.funder_id == operation.funder_id else None
        match operation:
            case Commit(key, funder_id, amount, decided_at, day):
                if stored is None or stored.state != "committed":
                    loan = same or _Record("committed", funder_id)
                    self._put(key, replace(loan, state="committed", amount=amount, decided_at=decided_at, day=day))
            case Release(key):
                if same is not None and same.state == "reserved":
                    self._put(key, replace(same, state="released"))
            case Repay(key, _, outstanding):
                if same is not None:
                    self._put(key, replace(same, most_owed=min(same.most_owed, outstanding)))
            case Restore(key, funder_id, amount, decided_at, day, due, outstanding):
                state: State = "committed" if due is None else "reserved"
                loan = same or _Record(state, funder_id)
                if same is None or (due is None and same.state != "committed"):
                    loan = replace(loan, state=state, amount=amount, decided_at=decided_at, day=day, due=due or 0)
                self._put(key, replace(loan, most_owed=min(loan.most_owed, outstanding)))
