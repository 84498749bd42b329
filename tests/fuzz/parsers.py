"""Every parser of what comes from outside, or from Kafka: good values to spoil, and what must hold for spoilt ones.

A parser may raise what it documents as a refusal, and nothing else; what was refused has changed nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from capture.peers import Peer, encode_peer
from capture.record import FunderRecord, decode_funder, encode_funder
from config.lifecycle import Lifecycle, advance
from config.load import load_document
from config.problems import ConfigError
from config.records import encode as encode_change
from config.rotation import Revision
from config.settings import Settings
from rotation.clock import rfc3339
from rotation.outputs import FunderState, encode
from rotation.policy import Policy
from rotation.state import decode_borrower
from streams.batches import Record
from streams.deadletters import DeadLetter, dead_letter
from streams.guide import Guide
from streams.headers import Position as Header
from streams.headers import Source, trace_headers, trace_id
from streams.log import LogError, LogRecord, log_line, read_log
from streams.metrics import STATES_REFUSED
from streams.partition import PartitionState
from streams.positions import (
    POSITION_KEY,
    Position,
    UnknownVersion,
    decode_outbox,
    decode_position,
    encode_outbox,
    encode_position,
    outbox_key,
    stamp,
)
from streams.store import Identity, Store
from tests.config.changes import FIRST, approve, propose
from tests.config.shipped import TEXT
from tests.fuzz.records import BorrowerRecords
from tests.fuzz.spoil import spoil
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, T0, World, request
from tests.worker.service import TRACE

SETTINGS = Settings(clock="stream")


class Parser(NamedTuple):
    """`share`: its part of 1,000 inputs. `feed` spoils something by chance and parses it; whether it was taken."""

    share: int
    feed: Callable[[Random], bool]


@contextmanager
def parsers() -> Iterator[dict[str, Parser]]:
    """All of them by name; inside, they have a folder for a local store."""
    with TemporaryDirectory(prefix="loanrouter-fuzz-") as folder, _store(Path(folder)) as store:
        borrowers = BorrowerRecords()
        yield {
            "input records": Parser(440, borrowers.feed),
            "funder-states and funder-peers": Parser(130, _feed_guide),
            "headers": Parser(130, _feed_headers),
            "dead letters": Parser(100, _feed_letters),
            "stored records": Parser(150, _Stored(borrowers.stored).feed),
            "changelog records": Parser(20, _Changelog(store).feed),
            "lines of a log": Parser(20, _feed_log),
            "rotation-config records": Parser(8, _feed_changes),
            "rotation.yaml": Parser(2, _feed_yaml),
        }


@contextmanager
def _store(folder: Path) -> Iterator[Store]:
    store = Store(folder / "tables", 16)
    with store.locked():
        store.open(Identity("cluster", "fuzz", {}))
        yield store


_WORLD = World(NO_ROTATION | ALWAYS_OPEN)
_STATE = encode(FunderState("cf-west", {"A": 0.5}, "watch", 0.5, rfc3339(T0), "a test", 1))
_PEER = encode_peer(Peer({}, True))


def _feed_guide(chance: Random) -> bool:
    guide = Guide(SETTINGS, _unwanted)
    for good in ((guide._states, _STATE), (guide._peers, _PEER)):
        guide._take({good[0]: [_record(good[0].topic, b"cf-west", good[1])]})
    before = (guide.states, guide._version, dict(guide.peers))
    assert before[0]
    assert before[2]
    refused = STATES_REFUSED._value.get()
    tp, value = chance.choice(((guide._states, _STATE), (guide._peers, _PEER)))
    key = chance.choice((b"cf-north", spoil(b"cf-north", [_STATE], chance), None))
    guide._take({tp: [_record(tp.topic, key, spoil(value, [_STATE, _PEER], chance), offset=7)]})
    if STATES_REFUSED._value.get() == refused:
        if tp == guide._states:
            _decide_under(guide.states)
        return True
    assert (guide.states, guide._version, guide.peers) == before
    return False


def _decide_under(states: Mapping[str, FunderState]) -> None:
    """A drawdown is decided, whatever is said of the funders."""
    _WORLD.policy = Policy(_WORLD.policy.revision, states, 7, {})
    _WORLD.borrowers = {}
    _WORLD.grant_all(at=T0)
    assert _WORLD.route(request("dd-1", T0 + 1)).status in ("routed", "held")


def _unwanted() -> Revision:
    raise AssertionError("no first revision is wanted")


def _record(topic: str, key: bytes | None, value: bytes | None, offset: int = 1) -> Record:
    return Record(topic, 0, offset, T0, key, value)


_HEADERS = (*(value or b"" for _, value in TRACE), Header((1, 2, 3, 4), 1, T0).encode(), Source(3, 7).encode())


def _feed_headers(chance: Random) -> bool:
    value = spoil(chance.choice(_HEADERS), _HEADERS, chance)
    name = chance.choice(("traceparent", "tracestate", value.decode("latin-1")))
    carried = trace_headers(((name, value), ("traceparent", None)))
    assert carried in ((), ((name, value),))
    trace_id(carried)
    taken = False
    for kind in (Header, Source):
        with suppress(ValueError):
            read = kind.decode(value)
            assert kind.decode(read.encode()) == read
            taken = True
    return taken


_LETTER = dead_letter(SETTINGS, _record("repayments", b"c-1", b"{"), "not_json", "no JSON")


def _feed_letters(chance: Random) -> bool:
    headers = list(_LETTER.headers)
    for _ in range(chance.choice((1, 1, 3))):
        at = chance.randrange(len(headers))
        name, value = headers[at]
        headers[at] = (name, chance.choice((None, spoil(value or b"", _HEADERS, chance))))
    if not chance.randrange(4):
        del headers[chance.randrange(len(headers))]
    read = DeadLetter.read(LogRecord("dead-letters", 0, 5, T0, b"c-1", b"{", tuple(headers)))
    assert (read.partition, read.offset, read.key, read.value) == (0, 5, b"c-1", b"{")
    return read.reason != "unreadable"


class _Stored:
    """What the changelogs and the local store hold, without its stamp."""

    def __init__(self, borrowers: Mapping[bytes, bytes]) -> None:
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 10_000)
        builder.append(0, T0, b"c-1", b"{}", [("traceparent", b"x")])
        self._outbox = encode_outbox(1, [("routing-decisions", 0, bytes(builder.build()))])[0]
        self._kinds: tuple[tuple[bytes, Callable[[bytes], object]], ...] = (
            (next(iter(borrowers.values())), decode_borrower),
            (encode_funder(FunderRecord()), decode_funder),
            (encode_position(Position(1, {"a": 1}, b"memo", 1)), decode_position),
            (self._outbox, lambda piece: decode_outbox(Position(1, pieces=1), {outbox_key(0): piece})),
        )
        self._good = [good for good, _ in self._kinds]

    def feed(self, chance: Random) -> bool:
        """Read, or refused as of another version, as no msgpack of its kind, or by its checksum."""
        good, read = chance.choice(self._kinds)
        try:
            read(spoil(good, self._good, chance))
        except (ValueError, msgspec.DecodeError, CorruptRecordException):
            return False
        return True


class _Changelog:
    """A batch of changelog records, one of them spoilt, read into a local store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers = count()
        position = encode_position(Position(1, {"a": 1}))
        self._good = [
            Record("changelog", 0, 0, T0, b"c-1", stamp(1) + b"payload"),
            Record("changelog", 0, 1, T0, b"c-2", None, (("stamp", stamp(1)),)),
            Record("changelog", 0, 2, T0, POSITION_KEY, stamp(1) + position),
        ]
        self._values = [record.value or b"" for record in self._good]

    def feed(self, chance: Random) -> bool:
        """What is refused leaves the store as it was."""
        shelf = self._store.shelf("fuzz", next(self._numbers))
        records = list(self._good)
        at = chance.randrange(3)
        key, value, headers = records[at].key, records[at].value, records[at].headers
        match chance.randrange(4):
            case 0:
                key = chance.choice((None, spoil(key or b"", self._values, chance)))
            case 1:
                value, headers = None, chance.choice(((), (("stamp", spoil(stamp(1), self._values, chance)),)))
            case _:
                value = spoil(value or b"", self._values, chance)
        records[at] = Record("changelog", 0, at, T0, key, value, headers)
        try:
            PartitionState(shelf).replay(records)
        except (UnknownVersion, ValueError, msgspec.DecodeError):
            assert list(shelf.items(b"")) == []
            return False
        return True


_LINE = log_line(LogRecord("repayments", 0, 1, T0, b"c-1", b'{"a":1}', (("traceparent", b"x"), ("b", b"\xff"))))


def _feed_log(chance: Random) -> bool:
    try:
        list(read_log([spoil(_LINE, [_LINE], chance)], SETTINGS))
    except LogError:
        return False
    return True


_BEGUN = advance(Lifecycle(), FIRST)
_CHANGES = [FIRST, *(encode_change(each) for each in (propose("ann"), approve("bob")))]
_DRAFTED = advance(_BEGUN, _CHANGES[1])


def _feed_changes(chance: Random) -> bool:
    try:
        advance(chance.choice((Lifecycle(), _BEGUN, _DRAFTED)), spoil(chance.choice(_CHANGES), _CHANGES, chance))
    except ConfigError:
        return False
    return True


def _feed_yaml(chance: Random) -> bool:
    text = spoil(TEXT.encode(), [TEXT.encode()], chance).decode(errors="replace")
    try:
        load_document(text, "rotation.yaml")
    except ConfigError:
        return False
    return True
