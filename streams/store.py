"""The local store: what a worker's tables hold, on disk; a cache of their changelogs, never the truth.

One RocksDB (rocksdict 0.3) in a folder of its own, with one shelf for each partition of a table. RocksDB's own log is
off: a write names the changelog offset that it stands for, so what a crash takes from memory is read there again, and
what is on disk is always the state at some write's end. A store that cannot be used is emptied, with a message.
"""

import fcntl
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import msgspec
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

log = logging.getLogger(__name__)

FORMAT = 1
"""Of keys, heads and marks in the store: another one is not read."""

_FLUSH_SECONDS = 600.0  # so that a crash leaves nothing old, however slowly the memory fills
_MEMTABLES = 4
_DAMAGED = ("Corruption", "Invalid argument", "Not implemented", "IO error: No such file or directory")


class StoreInUse(Exception):
    """Another process works in the folder."""


class StoreError(Exception):
    """The store cannot be read or written: a full disk, a missing permission, damaged files."""


class Identity(msgspec.Struct, frozen=True):
    """What a store is a cache of; `partitions` by changelog."""

    cluster: str
    app: str
    partitions: dict[str, int]
    format: int = FORMAT


class Shelf:
    """The keys of one partition of a table."""

    def __init__(self, store: "Store", prefix: bytes) -> None:
        self._store = store
        self._prefix = prefix

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None when there is none; raises `StoreError`."""
        return self._store.get(self._prefix + key)

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys without `prefix`, which they begin with, and values, as they are now, in order; raises `StoreError`."""
        return self._store.items(self._prefix + prefix)

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set or delete (None) keys, all or none; raises `StoreError`."""
        self._store.write(self._prefix, changes)

    def clear(self) -> None:
        """Delete all keys (none begins with the byte 255); raises `StoreError`."""
        self._store.clear(self._prefix)


class Store:
    """The store of one process. Use it within `locked`, after `open`."""

    def __init__(self, folder: Path, cache_mb: int) -> None:
        """`cache_mb` is what RocksDB may keep in memory: half of it read, half of it not yet written."""
        self._folder = folder
        self._cache_mb = cache_mb
        self._files = folder / "rocksdb"
        self._identity = folder / "identity.json"
        self._db: Rdict | None = None
        self._flush_at = 0.0

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder for this process; closes the store at the end.

        Raises `StoreInUse` when another one has it, `StoreError` when it cannot be made.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = (self._folder / "lock").open("w")
        except OSError as error:
            raise StoreError(f"the local store in {self._folder} cannot be made: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreInUse(
                    f"{self._folder} is in use by another process: each worker needs a LOANROUTER_DATA of its own"
                ) from None
            try:
                yield
            finally:
                self._close()

    def open(self, identity: Identity) -> None:
        """Open what is there, or a new store when it is a cache of something else, or damaged; raises `StoreError`."""
        try:
            if (why := self._mismatch(identity)) is not None:
                self._discard(why)
            try:
                self._db = self._open()
            except Exception as error:
                if not str(error).startswith(_DAMAGED):
                    raise
                self._discard(f"it is damaged: {error}")
                self._db = self._open()
            self._identity.write_bytes(msgspec.json.encode(identity))
        except Exception as error:
            raise StoreError(f"the local store in {self._folder} cannot be opened: {error}") from error
        self._flush_at = monotonic() + _FLUSH_SECONDS

    def shelf(self, table: str, partition: int) -> Shelf:
        """The keys of one partition of a table."""
        return Shelf(self, b"%s\0%s" % (table.encode(), partition.to_bytes(2, "big")))

    def get(self, key: bytes) -> bytes | None:
        """See `Shelf`."""
        try:
            value: bytes | None = self._opened.get(key)
        except Exception as error:
            raise self._failed(error) from error
        return value

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See `Shelf`."""
        skipped = len(prefix)
        try:
            found = self._opened.iter()
            found.seek(prefix)
            while found.valid() and (key := found.key()).startswith(prefix):
                yield key[skipped:], found.value()
                found.next()
            found.status()
        except Exception as error:
            raise self._failed(error) from error

    def write(self, prefix: bytes, changes: Mapping[bytes, bytes | None]) -> None:
        """See `Shelf`."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes.items():
            if value is None:
                batch.delete(prefix + key)
            else:
                batch.put(prefix + key, value)
        self._write(batch)

    def clear(self, prefix: bytes) -> None:
        """See `Shelf`."""
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(prefix, prefix + b"\xff")
        self._write(batch)

    def _write(self, batch: WriteBatch) -> None:
        try:
            self._opened.write(batch)
            if (now := monotonic()) > self._flush_at:
                self._flush_at = now + _FLUSH_SECONDS
                self._opened.flush(wait=False)
        except Exception as error:
            raise self._failed(error) from error

    @property
    def _opened(self) -> Rdict:
        if self._db is None:
            raise StoreError(f"the local store in {self._folder} is not open")
        return self._db

    def _mismatch(self, identity: Identity) -> str | None:
        """Why what is there is not a cache of `identity`."""
        if not self._files.exists():
            return None
        try:
            found = msgspec.json.decode(self._identity.read_bytes(), type=Identity)
        except (OSError, msgspec.DecodeError):
            return "it does not say what it is a cache of"
        return None if found == identity else f"it is a cache of {found}, wanted is {identity}"

    def _discard(self, why: str) -> None:
        log.warning("the local store in %s is discarded and rebuilt from the changelogs: %s", self._folder, why)
        self._identity.unlink(missing_ok=True)
        shutil.rmtree(self._files)

    def _open(self) -> Rdict:
        options = _options(self._cache_mb << 20)
        db = Rdict(str(self._files), options, column_families={"default": options})  # else it opens with its old ones
        without_log = WriteOptions()
        without_log.disable_wal = True  # type: ignore[method-assign, assignment]  # its stub takes it for a method
        db.set_write_options(without_log)
        return db

    def _failed(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if str(error).startswith(_DAMAGED):
            self._identity.unlink(missing_ok=True)
            return StoreError(f"the local store in {self._folder} is damaged, the next start rebuilds it: {error}")
        return StoreError(f"the local store in {self._folder} cannot be used: {error}")

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is None:
            return
        try:
            db.close()
        except Exception as error:  # rocksdict raises nothing narrower; the changelogs hold what is lost
            log.warning("the local store in %s was not closed properly: %s", self._folder, error)


def _options(memory: int) -> Options:
    """RocksDB's settings; chosen by measurement, see docs/decisions/004."""
    tables = BlockBasedOptions()
    tables.set_block_cache(Cache(memory // 2))
    tables.set_block_size(4096)
    tables.set_bloom_filter(10, False)
    tables.set_format_version(5)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(tables)
    options.set_compression_type(DBCompressionType.none())
    options.set_write_buffer_size(memory // 2 // _MEMTABLES)
    options.set_max_write_buffer_number(_MEMTABLES)
    options.set_max_background_jobs(2)
    options.set_level_compaction_dynamic_level_bytes(True)
    # A write that waits for compaction would hold up the whole process, heartbeats too: better that reads get slower.
    options.set_level_zero_slowdown_writes_trigger(64)
    options.set_level_zero_stop_writes_trigger(128)
    options.set_soft_pending_compaction_bytes_limit(0)
    options.set_hard_pending_compaction_bytes_limit(0)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(4 << 20)
    options.set_stats_dump_period_sec(0)
    return options
