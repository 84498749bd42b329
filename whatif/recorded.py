"""One partition's recorded decisions and outcomes, by drawdown: what the replay of it looks up."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from rotation.events import BorrowerEvent, CaptureSignal, DrawdownOutcome, millis
from rotation.outputs import DecisionStatus
from rotation.reservations import Room
from rotation.rules import RESERVATION_CODES
from streams.archive import Summary, read_partition
from streams.codec import BadInput, decode
from streams.headers import POSITION_HEADER, Position, header
from streams.topics import BORROWER_INPUTS
from whatif.history import History

Moment = tuple[int, int, bool]
"""When something happened (ms), the decision that it is or came after (-1: none), and whether it came after that."""


class Candidate(msgspec.Struct, gc=False):
    """A funder that passed, with its chance of being first."""

    funder_id: str
    propensity: float


class Recorded(msgspec.Struct, gc=False):
    """What a replay looks at in a recorded decision."""

    drawdown_id: str
    customer_id: str
    attempt: int
    status: DecisionStatus
    funder_id: str | None
    decided_at: datetime
    relaxed: list[str]
    candidates: list[Candidate]
    excluded: msgspec.Raw
    config_revision: int
    funder_states_version: int

    @property
    def at(self) -> int:
        """When it was made (ms)."""
        return millis(self.decided_at)

    @property
    def full(self) -> dict[str, Room]:
        """The funders that had no room, and why."""
        raw = bytes(self.excluded)
        if not any(code.encode() in raw for code in RESERVATION_CODES):
            return {}
        rooms: tuple[Room, ...] = ("quota_exhausted", "guarantee_ratio")
        return {funder_id: code for funder_id, codes in self.codes().items() for code in rooms if code in codes}

    def codes(self) -> dict[str, list[str]]:
        """The codes of each funder that was out."""
        return msgspec.json.decode(bytes(self.excluded), type=dict[str, list[str]])

    @classmethod
    def read(cls, value: bytes | None) -> "Recorded":
        """Read the value of a record of `routing-decisions`; raises `msgspec.DecodeError`."""
        return _decoder.decode(value or b"")


_decoder = msgspec.json.Decoder(Recorded)


class Result(NamedTuple):
    """What became of a drawdown in the end: the amount lent (0: no loan), and what that brings in before and after."""

    amount: int
    fee_before: float
    fee_after: float


class Records:
    """One partition of an archive."""

    def __init__(self, folder: Path, summary: Summary, partition: int, history: History) -> None:
        """Raises `streams.archive.ArchiveError`, and `ValueError` for a decision that no worker wrote."""
        self._folder = folder
        self._summary = summary
        self._partition = partition
        self._history = history
        self._made: defaultdict[str, dict[tuple[int, bool], Recorded]] = defaultdict(dict)
        self._positions: list[Position | None] = []
        self._decisions: list[Recorded] = []
        for record in read_partition(folder, summary, "routing-decisions", partition):
            try:
                decision = Recorded.read(record.value)
            except msgspec.DecodeError as error:
                where = f"routing-decisions, partition {partition}, offset {record.offset}"
                raise ValueError(f"{where}: not a decision: {error}") from None
            # Of what was published again after a crash the first is as good as the others.
            key = (decision.attempt, decision.status != "held")
            if self._made[decision.drawdown_id].setdefault(key, decision) is decision:
                position = header(record.headers, POSITION_HEADER)
                self._positions.append(None if position is None else Position.decode(position))
                self._decisions.append(decision)
        self._outcomes: defaultdict[str, list[tuple[int, DrawdownOutcome]]] = defaultdict(list)
        self._told = {"drawdown-outcomes": list(self._events("drawdown-outcomes"))}
        for (at, _, _), event in self._told["drawdown-outcomes"]:
            assert isinstance(event, DrawdownOutcome)
            self._outcomes[event.drawdown_id].append((at, event))

    def inputs(self) -> list[Iterable[tuple[Moment, BorrowerEvent]]]:
        """The usable inputs of each topic, in the order in which workers prefer topics.

        One that came late, which decisions did not know yet, has its moment after these.
        """
        return [self._told.get(topic) or self._events(topic) for topic in BORROWER_INPUTS]

    def decisions(self) -> list[tuple[Moment, Recorded]]:
        """Every decision, in order."""
        made = [((decision.at, number, False), decision) for number, decision in enumerate(self._decisions)]
        return sorted(made, key=lambda each: each[0])

    def decision(self, drawdown_id: str, attempt: int) -> Recorded | None:
        """The first decision on an attempt."""
        made = self._made.get(drawdown_id, {})
        return made.get((attempt, False)) or made.get((attempt, True))

    def outcomes(self, drawdown_id: str) -> list[tuple[int, DrawdownOutcome]]:
        """The outcomes of a drawdown with their timestamps."""
        return self._outcomes.get(drawdown_id, [])

    def awaits(self, drawdown_id: str, funder_id: str) -> bool:
        """Whether the drawdown went to this funder, whatever is known of its outcome."""
        return any(each.funder_id == funder_id for each in self._made.get(drawdown_id, {}).values())

    def result(self, drawdown_id: str) -> Result | None:
        """What became of the drawdown; None when the record ends before that."""
        outcomes = self.outcomes(drawdown_id)
        last = max(self._made[drawdown_id].items())[1]
        for _, outcome in outcomes:
            if outcome.status == "disbursed":
                amount, funder_id, revision = outcome.amount or 0, outcome.funder_id, last.config_revision
                return Result(
                    amount,
                    amount * self._history.fee_bp(funder_id, revision) / 10_000,
                    amount * self._history.draft_fee_bp(funder_id, revision) / 10_000,
                )
        answered = last.status == "rejected" or any(outcome.attempt == last.attempt for _, outcome in outcomes)
        return Result(0, 0.0, 0.0) if answered else None

    def _events(self, topic: str) -> Iterator[tuple[Moment, BorrowerEvent]]:
        refused, known = self._history.log.refused, self._history.known_funders
        index = BORROWER_INPUTS.index(topic)
        number = after = -1
        unknowing = ((n, each) for n, each in enumerate(self._positions) if each is not None)
        following = next(unknowing, None)
        for record in read_partition(self._folder, self._summary, topic, self._partition):
            if (topic, record.partition, record.offset) in refused:
                continue
            event = decode(topic, record.key, record.value, record.timestamp, known_funders=known, latest=None)
            if not isinstance(event, BadInput | CaptureSignal):
                while following is not None and following[1].offsets[index] <= record.offset:
                    number, after = following[0], max(after, following[1].now)
                    following = next(unknowing, None)
                late = after >= record.timestamp
                yield ((after, number, True) if late else (record.timestamp, -1, False)), event
