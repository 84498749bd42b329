"""What a changelog means, whoever wrote it and whatever Kafka has compacted of it.

Invariant: after any history of owners who write batches, die in the middle of one, come back as zombies and are
followed by others, the state that is read is what the closed batches of rightful owners made; and it stays that when
Kafka compacts the log up to any record before the last claim.
"""

from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from streams.positions import POSITION_KEY, STAMP_HEADER, Headers, Position, encode_position, stamp
from streams.table import PartitionState

Changes = dict[bytes, bytes | None]


class Written(NamedTuple):
    """A record of the log."""

    offset: int
    key: bytes
    value: bytes | None
    headers: Headers


def read(log: list[Written]) -> PartitionState:
    """The state that a worker recovers."""
    state = PartitionState()
    for record in log:
        state.replay(*record)
    return state


def compacted(log: list[Written], upto: int) -> list[Written]:
    """The log after Kafka's cleaner has dealt with the records before the offset `upto`."""
    latest = {record.key: record.offset for record in log if record.offset < upto}
    return [record for record in log if record.offset >= upto or latest[record.key] == record.offset]


class History:
    """One partition's changelog in the making, and what it must amount to."""

    def __init__(self) -> None:
        self.log: list[Written] = []
        self.data: dict[bytes, bytes] = {}
        self.sequence = 0
        self.epoch = 0
        self.last_claim = 0
        self.claim()

    def claim(self) -> None:
        """A new owner reads the log and claims the partition, as `streams.commit` does."""
        state = read(self.log)
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
            self.log.append(Written(len(self.log), key, value, headers))
        if position is not None:
            self.log.append(Written(len(self.log), POSITION_KEY, mark + encode_position(position), ()))


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
def test_the_log_means_the_same_before_and_after_compaction(steps: list[tuple[Any, ...]], data: st.DataObject) -> None:
    """Data, position and what is left to repair do not depend on what compaction has removed."""
    history = History()
    for step, *arguments in steps:
        step(history, *arguments)
    upto = data.draw(st.integers(0, history.last_claim))
    for log in (history.log, compacted(history.log, upto)):
        state = read(log)
        assert state.data == history.data
        assert state.position.sequence == history.sequence
        assert state.epoch == history.epoch
        assert state.unrepaired() == {}
        assert not state.repairs
