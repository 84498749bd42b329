"""What stands in a changelog: stamped payloads, one position record per batch, outbox pieces.

Every value begins with a stamp (version byte, epoch u32). A tombstone has no value: its stamp is a record header.
Keys that begin with a zero byte are ours; customer and funder ids cannot (contract, section 1).
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from streams.batches import Output

VERSION = 1
STAMP = struct.Struct(">BI")
STAMP_HEADER = "stamp"
RESERVED = b"\x00"
POSITION_KEY = b"\x00position"
OUTBOX_KEY = b"\x00outbox\x00"
PIECE_BYTES = 400_000  # of outputs in one outbox record: one output may be larger than a changelog takes

Headers = Sequence[tuple[str, bytes | None]]
PackedBatch = tuple[str, int, bytes]
"""Topic, partition and content of a Kafka batch of outputs: what is published is packed once, and stored as it is."""


class UnknownVersion(Exception):
    """The changelog was written by a newer version of this software, or by something else."""


class Position(msgspec.Struct, array_like=True, frozen=True):
    """How far a partition is: always the last record of a batch, so that what stands before it counts.

    `offsets` are the next offsets by source topic, `sequence` numbers the batches that wrote outputs, `pieces` says
    how many outbox records hold them. `from_records` is false for a tick, whose outputs no offset vouches for.
    """

    sequence: int = 0
    offsets: dict[str, int] = {}
    memo: bytes = b""
    pieces: int = 0
    from_records: bool = True


_encoder = msgspec.msgpack.Encoder()
_position_decoder = msgspec.msgpack.Decoder(Position)
_batches_decoder = msgspec.msgpack.Decoder(list[PackedBatch])
_SEQUENCE = struct.Struct(">Q")
#: The beginning of a Kafka batch: after its base offset the length of what follows that, and after an epoch its format.
_BATCH = struct.Struct(">8xi4xb")
_LENGTH_ENDS = 12
_FORMAT = 2


def stamp(epoch: int) -> bytes:
    """The bytes before each payload written under `epoch`."""
    return STAMP.pack(VERSION, epoch)


def read_epoch(value: bytes | None, headers: Headers) -> int:
    """The epoch a changelog record was written under; raises `UnknownVersion`."""
    source = (value if value is not None else dict(headers).get(STAMP_HEADER)) or b""
    if len(source) < STAMP.size:
        raise UnknownVersion("changelog record without a stamp")
    version, epoch = STAMP.unpack_from(source)
    if version != VERSION:
        raise UnknownVersion(f"changelog record of version {version}, this software knows {VERSION}")
    return int(epoch)


def encode_position(position: Position) -> bytes:
    """The payload of a position record."""
    return _encoder.encode(position)


def decode_position(payload: bytes) -> Position:
    """Read a position record's payload; raises `msgspec.DecodeError`, or `ValueError` for broken text in it."""
    return _position_decoder.decode(payload)


def encode_outbox(sequence: int, batches: Sequence[PackedBatch]) -> list[bytes]:
    """The payloads of the outbox records that hold the outputs' `batches`; none when there are none."""
    if not batches:
        return []
    packed = _encoder.encode(batches)
    mark = _SEQUENCE.pack(sequence)
    return [mark + packed[start : start + PIECE_BYTES] for start in range(0, len(packed), PIECE_BYTES)]


def decode_outbox(position: Position, records: dict[bytes, bytes]) -> list[Output]:
    """The outputs that `position` answers for.

    Empty when a piece is of another batch: only a later batch overwrites one, and it begins after these outputs
    were published. Raises `msgspec.DecodeError`, or `CorruptRecordException`, for pieces that are not what was written.
    """
    mark = _SEQUENCE.pack(position.sequence)
    pieces = [records.get(outbox_key(index), b"") for index in range(position.pieces)]
    if not pieces or not all(piece.startswith(mark) for piece in pieces):
        return []
    batches = _batches_decoder.decode(b"".join(piece[_SEQUENCE.size :] for piece in pieces))
    return [
        Output(topic, record.key, record.value, record.timestamp, tuple(record.headers), partition)
        for topic, partition, packed in batches
        for record in _records(packed)
    ]


def _records(packed: bytes) -> Iterator[Any]:
    # aiokafka reads where it should not when the length or the format is wrong, and only then looks at the checksum.
    sound = len(packed) >= _BATCH.size and _BATCH.unpack_from(packed) == (len(packed) - _LENGTH_ENDS, _FORMAT)
    batch = MemoryRecords(packed).next_batch() if sound else None
    if batch is None or not batch.validate_crc():
        raise CorruptRecordException("an outbox is not what was written")
    yield from batch


def outbox_key(index: int) -> bytes:
    """The key of the outbox record number `index`."""
    return OUTBOX_KEY + b"%d" % index
