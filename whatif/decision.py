"""What a recorded decision holds, as far as a replay looks at it."""

from datetime import datetime

import msgspec

from rotation.events import millis
from rotation.outputs import DecisionStatus
from rotation.reservations import Room
from rotation.rules import RESERVATION_CODES


class Candidate(msgspec.Struct, gc=False):
    """A funder that passed, with its chance of being first."""

    funder_id: str
    propensity: float


class Recorded(msgspec.Struct, gc=False):
    """What a replay keeps of a recorded decision."""

    drawdown_id: str
    customer_id: str
    attempt: int
    status: DecisionStatus
    funder_id: str | None
    decided_at: datetime
    relaxed: list[str]
    candidates: list[Candidate]
    config_revision: int
    funder_states_version: int

    @property
    def at(self) -> int:
        """When it was made (ms)."""
        return millis(self.decided_at)

    @property
    def step(self) -> tuple[int, bool]:
        """Which of its drawdown's decisions it is: the attempt, and whether it ended that one's hold."""
        return self.attempt, self.status != "held"

    @classmethod
    def read(cls, value: bytes | None) -> "Recorded":
        """Read the value of a record of `routing-decisions`; raises `msgspec.DecodeError`."""
        return _decoder.decode(value or b"")


class Explained(Recorded, gc=False):
    """A recorded decision with the codes of the funders that were out, which take more memory than all the rest."""

    excluded: msgspec.Raw

    def codes(self) -> dict[str, list[str]]:
        """The codes of each funder that was out."""
        return msgspec.json.decode(bytes(self.excluded), type=dict[str, list[str]])

    @property
    def full(self) -> dict[str, Room]:
        """The funders that had no room, and why."""
        return _rooms(self.codes()) if tells_of_room(bytes(self.excluded)) else {}

    @classmethod
    def read(cls, value: bytes | None) -> "Explained":
        """Read the value of a record of `routing-decisions`; raises `msgspec.DecodeError`."""
        return _explained.decode(value or b"")


_decoder = msgspec.json.Decoder(Recorded)
_explained = msgspec.json.Decoder(Explained)
_CODES = tuple(code.encode() for code in RESERVATION_CODES)
_ROOMS: tuple[Room, ...] = ("quota_exhausted", "guarantee_ratio")


def tells_of_room(value: bytes) -> bool:
    """Whether a decision may tell of a funder without room: most do not, and to look is cheap."""
    return any(code in value for code in _CODES)


def _rooms(codes: dict[str, list[str]]) -> dict[str, Room]:
    return {funder_id: code for funder_id, each in codes.items() for code in _ROOMS if code in each}
