"""One partition's recorded decisions and outcomes, by drawdown: what the replay of it looks up."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from rotation.events import BorrowerEvent, CaptureSignal, DrawdownOutcome
from rotation.reservations import Room
from streams.archive import Summary, read_partition
from streams.codec import BadInput, decode
from streams.headers import POSITION_HEADER, Position, header
from streams.topics import BORROWER_INPUTS
from whatif.decision import Explained, Recorded, tells_of_room
from whatif.history import History

Moment = tuple[int, int, bool]
"""When something happened (ms), the decision that it is or came after (-1: none), and whether it came after that."""


class Result(NamedTuple):
    """What became of a drawdown in the end: the amount lent (0: no loan), and what that brings in before and after."""

    amount: int
    fee_before: float
    fee_after: float


_NOBODY: Mapping[str, Room] = {}


class Records:
    """One partition of an archive."""

    def __init__(self, folder: Path, summary: Summary, partition: int, history: History) -> None:
        """Raises `streams.archive.ArchiveError`, and `ValueError` for a decision that no worker wrote."""
        self._folder = folder
        self._summary = summary
        self._partition = partition
        self._history = history
        self._made: defaultdict[str, list[Recorded]] = defaultdict(list)
        self._full: dict[tuple[str, int, bool], dict[str, Room]] = {}
        self._positions: list[Position | None] = []
        self._decisions: list[Recorded] = []
        names: dict[str, str] = {}
        for record in read_partition(folder, summary, "routing-decisions", partition):
            value = record.value or b""
            try:
                decision = Recorded.read(value)
                full = Explained.read(value).full if tells_of_room(value) else None
            except msgspec.DecodeError as error:
                where = f"routing-decisions, partition {partition}, offset {record.offset}"
                raise ValueError(f"{where}: not a decision: {error}") from None
            # Names that come again and again are kept once: they take memory, and are hashed and compared.
            decision.customer_id = names.setdefault(decision.customer_id, decision.customer_id)
            if decision.funder_id is not None:
                decision.funder_id = names.setdefault(decision.funder_id, decision.funder_id)
            made = self._made[decision.drawdown_id]
            if any(each.step == decision.step for each in made):
                continue  # of what was published again after a crash the first is as good as the others
            made.append(decision)
            if full:
                self._full[(decision.drawdown_id, *decision.step)] = full
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
        made = [each for each in self._made.get(drawdown_id, ()) if each.attempt == attempt]
        return made[0] if len(made) == 1 else min(made, key=attrgetter("step"), default=None)

    def full(self, made: Recorded) -> Mapping[str, Room]:
        """The funders that had no room, and why."""
        return self._full.get((made.drawdown_id, *made.step), _NOBODY) if self._full else _NOBODY

    def outcomes(self, drawdown_id: str) -> list[tuple[int, DrawdownOutcome]]:
        """The outcomes of a drawdown with their timestamps."""
        return self._outcomes.get(drawdown_id, [])

    def awaits(self, drawdown_id: str, funder_id: str) -> bool:
        """Whether the drawdown went to this funder, whatever is known of its outcome."""
        return any(each.funder_id == funder_id for each in self._made.get(drawdown_id, ()))

    def result(self, drawdown_id: str) -> Result | None:
        """What became of the drawdown; None when the record ends before that."""
        outcomes = self.outcomes(drawdown_id)
        last = max(self._made[drawdown_id], key=attrgetter("step"))
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
            if refused and (topic, record.partition, record.offset) in refused:
                continue
            event = decode(topic, record.key, record.value, record.timestamp, known_funders=known, latest=None)
            if not isinstance(event, BadInput | CaptureSignal):
                while following is not None and following[1].offsets[index] <= record.offset:
                    number, after = following[0], max(after, following[1].now)
                    following = next(unknowing, None)
                late = after >= record.timestamp
                yield ((after, number, True) if late else (record.timestamp, -1, False)), event
