"""What a changelog means, whoever wrote it, whatever Kafka has compacted of it, and wherever its reader was stopped.

Invariant: after any history of owners who write batches, die in the middle of one, come back as zombies and are
followed by others, the state that is read is what the closed batches of rightful owners made; and it stays that when
Kafka compacts the log up to any record before the last claim, and when the reader ends after any record and another
one goes on from the store.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.batches import Record
from streams.partition import PartitionState
from streams.positions import POSITION_KEY, STAMP_HEADER, Position, encode_position, stamp
from streams.store import Identity, Shelf, Store

Changes = dict[bytes, bytes | None]


class Shelves:
    """Any number of empty shelves in one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number = count()

    def empty(self) -> Shelf:
        """One more."""
        return self._store.shelf(f"table-{next(self._number)}", 0)


@pytest.fixture(scope="module")
def shelves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelves]:
    """A store for all examples."""
    store = Store(tmp_path_factory.mktemp("store"), 16)
    with store.locked():
        store.open(Identity("cluster", "app", {}))
        yield Shelves(store)


def odd(payload: bytes) -> int | None:
    """A mark: the number in a payload, if it is odd."""
    return int(payload) if int(payload) % 2 else None


def read(shelf: Shelf, log: list[Record]) -> PartitionState:
    """The state that a worker recovers with what is on the shelf."""
    state = PartitionState(shelf, odd)
    known = -1 if state.known_offset is None else state.known_offset
    state.replay(record for record in log if record.offset > known)
    return state


def compacted(log: list[Record], upto: int) -> list[Record]:
    """The log after Kafka's cleaner has dealt with the records before the offset `upto`."""
    latest = {record.key: record.offset for record in log if record.offset < upto}
    return [record for record in log if record.offset >= upto or latest[record.key] == record.offset]


class History:
    """One partition's changelog in the making, and what it must amount to."""

    def __init__(self, shelves: Shelves) -> None:
        self._shelves = shelves
        self.log: list[Record] = []
        self.data: dict[bytes, bytes] = {}
        self.sequence = 0
        self.epoch = 0
        self.last_claim = 0
        self.claim()

    def claim(self) -> None:
        """A new owner reads the log and claims the partition, as `streams.commit` does."""
        state = read(self._shelves.empty(), self.log)
        self.last_claim = len(self.log)
        self.epoch = state.epoch + 1
        self._append(self.epoch, state.unrepaired(), state.position)

    def write(self, changes: Changes) -> None:
        """The owner writes a batch."""
        self.sequence += 1
        self._append(self.epoch, changes, Position(self.sequence))
        for key, payload in changes.items():
            if payload is None:
                self.data.pop(key, None)
            else:
                self.data[key] = payload

    def die_writing(self, changes: Changes) -> None:
        """The owner dies with its batch half written; another one takes over."""
        self._append(self.epoch, changes, None)
        self.claim()

    def zombie(self, changes: Changes, closes: bool) -> None:
        """An owner of before still writes; the present one meets that and gives way to another."""
        self._append(self.epoch - 1, changes, Position(1000 + self.sequence) if closes else None)
        self.claim()

    def _append(self, epoch: int, changes: Changes, position: Position | None) -> None:
        mark = stamp(epoch)
        for key, payload in changes.items():
            value, headers = (None, ((STAMP_HEADER, mark),)) if payload is None else (mark + payload, ())
            self._put(key, value, headers)
        if position is not None:
            self._put(POSITION_KEY, mark + encode_position(position), ())

    def _put(self, key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes | None], ...]) -> None:
        self.log.append(Record("changelog", 0, len(self.log), 0, key, value, headers))


changes = st.dictionaries(
    st.sampled_from([b"a", b"b", b"c", b"d"]), st.none() | st.sampled_from([b"1", b"2", b"3"]), max_size=4
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just(History.write), changes),
        st.tuples(st.just(History.claim)),
        st.tuples(st.just(History.die_writing), changes),
        st.tuples(st.just(History.zombie), changes, st.booleans()),
    ),
    max_size=12,
)


@given(steps, st.data())
def test_the_log_means_the_same_whatever_happened_to_it(
    shelves: Shelves, steps: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    """Data, marks, position and what is left to repair depend on neither compaction nor restarts of the reader."""
    history = History(shelves)
    for step, *arguments in steps:
        step(history, *arguments)
    upto = data.draw(st.integers(0, history.last_claim))
    stopped = data.draw(st.integers(0, len(history.log)))
    for log in (history.log, compacted(history.log, upto)):
        shelf = shelves.empty()
        read(shelf, history.log[:stopped])
        state = read(shelf, log)
        assert state.data == history.data
        assert dict(state.data.items()) == history.data
        assert state.marks == {key: int(value) for key, value in history.data.items() if odd(value)}
        assert PartitionState(shelf).marks == state.marks
        assert state.position.sequence == history.sequence
        assert state.epoch == history.epoch
        assert state.unrepaired() == {}
        assert not state.repairs
