"""One partition of a table: its records, its position, and what of its changelog counts.

Everything is in the local store; each closed batch is one atomic write there, together with the changelog offset up to
which it stands.
"""

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping

import msgspec

from streams.batches import Output, Record
from streams.positions import (
    POSITION_KEY,
    RESERVED,
    STAMP,
    Position,
    decode_outbox,
    decode_position,
    outbox_key,
    read_epoch,
)
from streams.store import Shelf

Mark = Callable[[bytes], int | None]
"""Of a record's payload: a number that is kept in memory for all records that have one."""

TRUSTED_MS = 12 * 3_600_000
"""A stored state older than this is not caught up: the changelog keeps tombstones for 24 hours only."""

_HEAD = b"h"
_RECORD = b"r"
_OUTBOX = b"o"
_MARK = b"m"
_MARK_BYTES = 8


class AnotherLog(Exception):
    """The changelog is not the one that the stored state was read from."""


class _Head(msgspec.Struct, array_like=True):
    """What is stored of a partition beside records, outbox and marks."""

    next_offset: int = 0
    epoch: int = 0
    timestamp: int = 0
    position: Position = Position()
    repairs: list[bytes] = []


_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(_Head)


class Records(Mapping[bytes, bytes]):
    """The records of a partition, read from the store. Their number is not known: `len` counts them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def __getitem__(self, key: bytes) -> bytes:
        value = self._shelf.get(_RECORD + key)
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[bytes]:
        return (key for key, _ in self._shelf.items(_RECORD))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def items(self) -> ItemsView[bytes, bytes]:
        """Keys and payloads, read in one go."""
        return _Items(self, self._shelf)


class _Items(ItemsView[bytes, bytes]):
    def __init__(self, records: Records, shelf: Shelf) -> None:
        super().__init__(records)
        self._shelf = shelf

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return self._shelf.items(_RECORD)


class PartitionState:
    """One partition of a table: data, position, and who may write it.

    Records count only from the position record that closes their batch, and only if no higher epoch wrote before
    them. What did not count but may hide an older record after compaction is in `repairs`: to be written again.

    Compaction also removes the position records that closed older batches, and leaves gaps in the offsets. What
    stands before a gap counts: either its batch was closed, or a later claim wrote its key again.

    `marks` are those of the data. Whatever reads or writes the store raises `StoreError`.
    """

    def __init__(self, shelf: Shelf, mark: Mark | None = None) -> None:
        self.data = Records(shelf)
        self.marks = {key: int.from_bytes(number, "big") for key, number in shelf.items(_MARK)}
        stored = shelf.get(_HEAD)
        head = _head_decoder.decode(stored) if stored is not None else _Head()
        self.position = head.position
        self.next_offset = head.next_offset  # of the changelog
        self.epoch = head.epoch  # the highest seen
        self.owned_epoch = 0  # ours, once claimed
        self.repairs = set(head.repairs)
        self.unsent = head.position.sequence > 0  # whether outputs of `position` may not have been published
        self._shelf = shelf
        self._mark = mark
        self._timestamp = head.timestamp  # of the last record that counts
        self._unproven = head.next_offset > 0  # whether the changelog may be another one than that of the store
        self._open: dict[bytes, bytes | None] = {}
        self._settled: dict[bytes, bytes | None] = {}  # counts, but is not in the store yet
        self._settled_offset = head.next_offset

    @property
    def known_offset(self) -> int | None:
        """The last changelog offset that need not be read, None when all has to be.

        The record that closed the stored state is read again: it proves that the changelog is the same.
        """
        return self.next_offset - (2 if self._unproven else 1) if self.next_offset else None

    def doubt(self, start: int, end: int, now: int) -> str | None:
        """Why the state cannot be what a changelog with offsets from `start` up to `end` says; `now` in ms."""
        if self.next_offset > end:
            return f"it stands at offset {self.next_offset}, the changelog ends at {end}"
        if 0 < self.next_offset < start:
            return f"it stands at offset {self.next_offset}, the changelog begins at {start}"
        if self._unproven and self.next_offset < end and now - self._timestamp > TRUSTED_MS:
            return "it is so old that it may have missed deletions"
        return None

    def replay(self, changes: Iterable[Record]) -> None:
        """Take records of the changelog; those before `next_offset` are known.

        Raises `AnotherLog`: then nothing of this state can be used.
        """
        for change in changes:
            offset = change.offset
            if offset < self.next_offset:
                self._prove(change)
                continue
            if offset > self.next_offset:
                self._settle()
                self._settled_offset = offset
            self._unproven = False
            self.next_offset = offset + 1
            self._timestamp = change.timestamp
            key, value = change.key or b"", change.value
            epoch = read_epoch(value, change.headers)
            if epoch < self.epoch:
                self.repairs.add(key)
                continue
            if epoch > self.epoch:
                self._drop_open()
                self.epoch = epoch
            payload = value[STAMP.size :] if value is not None else None
            if key != POSITION_KEY:
                self._open[key] = payload
            elif payload is not None:
                self._close(decode_position(payload))
        self._save()

    @property
    def needs_claim(self) -> bool:
        """Whether somebody else wrote last, or there is something to repair."""
        return not self.epoch or self.owned_epoch != self.epoch or bool(self.repairs or self._open)

    def written(self, epoch: int, changes: Mapping[bytes, bytes | None], position: Position, now: int) -> None:
        """Take a batch of our own that Kafka has confirmed, up to `next_offset`; `now` in ms."""
        self.epoch = self.owned_epoch = epoch
        self._timestamp = now
        self._open.update(changes)
        self._close(position)
        self._save()

    def outbox(self) -> list[Output]:
        """The outputs of the last batch."""
        keys = [outbox_key(index) for index in range(self.position.pieces)]
        return decode_outbox(self.position, {key: self._shelf.get(_OUTBOX + key) or b"" for key in keys})

    def unrepaired(self) -> dict[bytes, bytes | None]:
        """What has to be written again, so that no compaction loses it."""
        self._drop_open()
        return {key: self.data.get(key) for key in self.repairs if key[:1] != RESERVED}

    def _prove(self, change: Record) -> None:
        if self._unproven and change.offset == self.next_offset - 1:
            value = change.value or b""
            if change.key != POSITION_KEY or decode_position(value[STAMP.size :]) != self.position:
                raise AnotherLog(f"offset {change.offset} of the changelog is not the record that closed it")
            self._unproven = False

    def _drop_open(self) -> None:
        self.repairs.update(self._open)
        self._open.clear()

    def _close(self, position: Position) -> None:
        self._settle()
        self._settled_offset = self.next_offset
        self.repairs = {key for key in self.repairs if key[:1] != RESERVED}  # the position is written again
        self.unsent = self.unsent or position.sequence != self.position.sequence
        self.position = position

    def _settle(self) -> None:
        self._settled.update(self._open)
        self.repairs.difference_update(self._open)
        self._open.clear()

    def _save(self) -> None:
        """Write what counts, and up to which offset it stands."""
        changes: dict[bytes, bytes | None] = {}
        for key, payload in self._settled.items():
            if key[:1] == RESERVED:
                changes[_OUTBOX + key] = payload
                continue
            changes[_RECORD + key] = payload
            if self._mark is not None:
                number = None if payload is None else self._mark(payload)
                if number != self.marks.get(key):
                    self._set_mark(key, number, changes)
        head = _Head(self._settled_offset, self.epoch, self._timestamp, self.position, list(self.repairs))
        changes[_HEAD] = _encoder.encode(head)
        self._shelf.write(changes)
        self._settled.clear()

    def _set_mark(self, key: bytes, number: int | None, changes: dict[bytes, bytes | None]) -> None:
        if number is None:
            del self.marks[key]
            changes[_MARK + key] = None
        else:
            self.marks[key] = number
            changes[_MARK + key] = number.to_bytes(_MARK_BYTES, "big")
