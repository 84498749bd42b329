"""What is known of one funder. The value of the funders table.

Times are ms of stream time. Records are packed as arrays: append fields with a default, never reorder or remove them.
"""

import msgspec

from capture.cohorts import Cohorts
from rotation.outputs import FunderState


class HourCount(msgspec.Struct, array_like=True):
    """Outcomes of one hour (number since the epoch): loans, and refusals with walk-aways."""

    hour: int
    disbursed: int = 0
    missed: int = 0


class Reference(msgspec.Struct, array_like=True):
    """Answers of the time in which a funder's usual failure rate was learnt. Frozen once there are enough of them."""

    answered: int = 0
    missed: int = 0
    frozen: bool = False


class Cusum(msgspec.Struct, array_like=True):
    """A cumulative sum: its `statistic`, and what it has seen since it last stood at zero.

    `since` is the time of the first answer of that stretch (ms), the estimate of when a change began.
    """

    statistic: float = 0.0
    since: int = 0
    events: int = 0
    observed: int = 0
    expected: float = 0.0


class Canary(msgspec.Struct, array_like=True):
    """A member of staff: when a drawdown that the funder answered was first routed to it, and their last call (ms).

    0 stands for never. A call is evidence when it came after the funder had seen them, in whichever order it is told.
    """

    seen_at: int = 0
    called_at: int = 0

    @property
    def tells(self) -> bool:
        """Whether the call speaks against the funder."""
        return 0 < self.seen_at <= self.called_at


class Pace(msgspec.Struct, array_like=True):
    """How a funder's quota is used, and what its room is worth (`capture.pacing`).

    `lent` are fen and loans by the Shanghai day of their decisions, named by its midnight. `used` is the share of the
    day's quota at `at`, when the `price` was last looked at (ms).
    """

    lent: dict[int, tuple[int, int]] = msgspec.field(default_factory=dict)
    used: float = 0.0
    at: int = 0
    price: float = 0.0


class FunderRecord(msgspec.Struct, array_like=True):
    """What is known of one funder.

    `sources` holds, for each borrower partition, the number of the last event taken in, since re-keyed events may come
    twice. `published` are the rates last published, at `published_at` (ms); None before the first. `signals` counts the
    direct evidence of capture by kind, `heard` are the `event_id`s of it, since signals may come twice: each with the
    period in which it was told, those told last (`capture.learn`). `trace` are the trace headers of the last outcome or
    signal that had any, for what it may cause. `references` are by grade, `cusums` by segment. `called` is how many
    `canaries` told against the funder when the ladder last looked. `state` is what was last published, and `by_person`
    whether somebody put the funder there; `calm_since` is when it was last alarmed for, or stepped back for calm (ms).
    `cohorts` are by grade and kind (`capture.cohorts`); `judged` is the last period that ended when they were judged,
    and `alarms` the one in which a detector alarmed last: what began before has been told. `reached` is how many times
    the threshold all evidence together has reached, `risk` the share of each grade's borrowers that the funder is
    expected to capture at a drawdown.
    """

    hours: dict[str, list[HourCount]] = msgspec.field(default_factory=dict)
    sources: dict[int, int] = msgspec.field(default_factory=dict)
    published: dict[str, float] | None = None
    published_at: int = 0
    signals: dict[str, int] = msgspec.field(default_factory=dict)
    trace: list[tuple[str, bytes]] = msgspec.field(default_factory=list)
    references: dict[str, Reference] = msgspec.field(default_factory=dict)
    cusums: dict[str, Cusum] = msgspec.field(default_factory=dict)
    canaries: dict[str, Canary] = msgspec.field(default_factory=dict)
    called: int = 0
    state: FunderState | None = None
    by_person: bool = False
    calm_since: int = 0
    cohorts: dict[str, Cohorts] = msgspec.field(default_factory=dict)
    judged: int = 0
    alarms: dict[str, int] = msgspec.field(default_factory=dict)
    reached: int = 0
    risk: dict[str, float] = msgspec.field(default_factory=dict)
    pace: Pace = msgspec.field(default_factory=Pace)
    heard: dict[str, int] = msgspec.field(default_factory=dict)


_VERSION = 1
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(FunderRecord)


def encode_funder(record: FunderRecord) -> bytes:
    """The stored form: version byte, msgpack."""
    return bytes((_VERSION,)) + _encoder.encode(record)


def decode_funder(stored: bytes | None) -> FunderRecord:
    """The record of a stored value; a new one for None.

    Raises:
        ValueError: written by a version that this one does not know.
        msgspec.DecodeError: it is no such record.
    """
    if stored is None:
        return FunderRecord()
    version = stored[0] if stored else 0
    if version != _VERSION:
        raise ValueError(f"funder record of unknown version {version}")
    return _decoder.decode(memoryview(stored)[1:])
