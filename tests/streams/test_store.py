"""The local store is a cache: of one cluster, application and set of changelogs, in one process, and never damaged."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from config.settings import Settings
from streams.batches import Record
from streams.partition import PartitionState
from streams.positions import POSITION_KEY, Position, encode_position, stamp
from streams.store import Identity, Shelf, Store, StoreError, StoreInUse
from streams.topics import create_topics
from tests.processes import loanrouter

IDENTITY = Identity("cluster", "prefix.loanrouter", {"changelog": 4})
BEGUN = Position(1, {"topic": 3})


@contextmanager
def opened(folder: Path, identity: Identity = IDENTITY) -> Iterator[Shelf]:
    """A shelf of a store that is a cache of `identity`."""
    store = Store(folder, 16)
    with store.locked():
        store.open(identity)
        yield store.shelf("table", 0)


@pytest.mark.parametrize(
    "other",
    [
        Identity("another", IDENTITY.app, IDENTITY.partitions),
        Identity(IDENTITY.cluster, "another", IDENTITY.partitions),
        Identity(IDENTITY.cluster, IDENTITY.app, {"changelog": 8}),
        Identity(IDENTITY.cluster, IDENTITY.app, {"another": 4}),
        Identity(IDENTITY.cluster, IDENTITY.app, IDENTITY.partitions, IDENTITY.format + 1),
    ],
)
def test_a_store_of_something_else_is_emptied(tmp_path: Path, other: Identity) -> None:
    """Another cluster, application, changelog, number of partitions or format begins with an empty store."""
    with opened(tmp_path) as shelf:
        shelf.write({b"key": b"value"})
    with opened(tmp_path) as shelf:
        assert shelf.get(b"key") == b"value"
    with opened(tmp_path, other) as shelf:
        assert shelf.get(b"key") is None
    with opened(tmp_path) as shelf:
        assert shelf.get(b"key") is None


def test_damage_found_later_is_rebuilt_at_the_next_start(tmp_path: Path) -> None:
    """A block that does not match its checksum is never returned; the store is empty when it is opened again."""
    with opened(tmp_path) as shelf:
        shelf.write({b"%d" % number: os.urandom(1000) for number in range(4000)})
    for table_file in (tmp_path / "rocksdb").glob("*.sst"):
        with table_file.open("r+b") as file:
            file.seek(table_file.stat().st_size // 2)
            file.write(b"scribble" * 1000)
    with opened(tmp_path) as shelf:
        assert shelf.get(b"1") is not None
        with pytest.raises(StoreError):
            list(shelf.items(b""))
    with opened(tmp_path) as shelf:
        assert list(shelf.items(b"")) == []


def test_a_folder_in_use_is_refused_with_exit_code_2(settings: Settings, tmp_path: Path) -> None:
    """A second process on a worker's folder ends at once, names the folder, and harms nothing."""
    asyncio.run(create_topics(settings))
    with opened(settings.data / "tables") as shelf:
        shelf.write({b"key": b"value"})
        with pytest.raises(StoreInUse), opened(settings.data / "tables"):
            pass
        done = loanrouter("worker", **settings.environment())
        assert done.returncode == 2
        assert str(settings.data) in done.stderr
        assert shelf.get(b"key") == b"value"


def test_an_old_store_is_caught_up_only_when_nothing_can_be_missed(tmp_path: Path) -> None:
    """Tombstones may be gone from the changelog after a day: with records to read, an old state is in doubt."""
    written_at = 1_790_000_000_000
    hour = 3_600_000
    with opened(tmp_path) as shelf:
        closing = stamp(1) + encode_position(BEGUN)
        PartitionState(shelf).replay([Record("changelog", 0, 0, written_at, POSITION_KEY, closing)])
        state = PartitionState(shelf)
        assert state.position == BEGUN
        assert state.doubt(0, 2, written_at + hour) is None
        assert state.doubt(0, 2, written_at + 24 * hour) is not None
        assert state.doubt(0, 1, written_at + 24 * hour) is None
