"""What is usual: the other funders' life tables, as each funder's agent tells them to all others."""

from collections.abc import Mapping

import msgspec

from capture.cohorts import LifeTable, life_table, pooled
from capture.departures import window
from capture.record import FunderRecord
from config.rotation import Capture

#: Nobody is compared with fewer funders than these, suspects or not.
FEWEST = 2


class Peer(msgspec.Struct, frozen=True, array_like=True):
    """What the others must know of a funder: its life tables by grade and kind, and whether it is under suspicion."""

    tables: dict[str, LifeTable]
    suspect: bool = False


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Peer)


def encode_peer(told: Peer) -> bytes:
    """The record value of the internal topic `funder-peers`."""
    return _encoder.encode(told)


def decode_peer(value: bytes) -> Peer:
    """Read a record value of `funder-peers`; raises `msgspec.DecodeError`."""
    return _decoder.decode(value)


def peer(record: FunderRecord, rules: Capture, now: int) -> Peer:
    """What the others must know of this funder at `now` (ms)."""
    suspect = record.state is not None and record.state.state not in ("normal", "watch")
    return Peer({key: life_table(each, window(rules), now) for key, each in record.cohorts.items()}, suspect)


def others(peers: Mapping[str, Peer], funder_id: str, rules: Capture) -> dict[str, LifeTable]:
    """Pooled life tables of the other funders, of those above suspicion if there are enough of them."""
    rest = [each for other, each in sorted(peers.items()) if other != funder_id]
    sound = [each for each in rest if not each.suspect]
    chosen = sound if len(sound) >= FEWEST else rest
    keys = {key for each in chosen for key in each.tables}
    return {
        key: pooled([each.tables[key] for each in chosen if key in each.tables], window(rules)) for key in sorted(keys)
    }
