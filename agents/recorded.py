"""A recorded log: the inputs of the borrowers, what was decided on them, and the configurations that held."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Self

import msgspec

from config.lifecycle import Lifecycle, advance
from config.problems import ConfigError
from config.rotation import Revision
from rotation.events import millis
from rotation.outputs import Decision, FunderState
from rotation.plan import Plan
from rotation.policy import Policy
from streams.codec import UNREADABLE, read_state
from streams.deadletters import DeadLetter
from streams.headers import POSITION_HEADER, Position, header
from streams.log import LogRecord
from streams.topics import BORROWER_INPUTS

_decoder = msgspec.json.Decoder(Decision)


_UNKNOWN = Position((), None, 0)


class Recorded(msgspec.Struct, frozen=True):
    """A decision as it stands in a log, and where its worker was; an empty one when the decision does not say."""

    decision: Decision
    value: bytes
    position: Position

    @classmethod
    def read(cls, record: LogRecord) -> Self:
        """Read a record of `routing-decisions`; raises `ValueError` for one that no worker wrote."""
        value = record.value or b""
        position = header(record.headers, POSITION_HEADER)
        try:
            return cls(_decoder.decode(value), value, _UNKNOWN if position is None else Position.decode(position))
        except ValueError as error:
            where = f"{record.topic}, partition {record.partition}, offset {record.offset}"
            raise ValueError(f"{where}: not a decision with its {POSITION_HEADER} header: {error}") from None

    @property
    def decided_at(self) -> int:
        """When it was made (ms)."""
        return _millis(self.decision.decided_at)


class Log:
    """A recorded log, sorted by what replay needs.

    `inputs` are those that no worker refused, `refused` the topic, partition and offset of the others; `states` are
    offset, timestamp (ms) and content of each record of `funder-states`; `lifecycle` is what stands at the end
    of the log, `revisions` all that were ever made.
    """

    def __init__(self, records: Iterable[LogRecord], configuration: Revision | None) -> None:
        """`configuration` is used when the log holds no revision of the same content.

        Raises:
            ValueError: there is neither a configuration nor a revision in the log, or a decision cannot be read.
        """
        self.inputs: list[LogRecord] = []
        self.decisions: list[Recorded] = []
        self.refused: set[tuple[str, int, int]] = set()
        self.states: list[tuple[int, int, FunderState]] = []
        self.lifecycle = Lifecycle()
        self._lifecycles: list[tuple[int, Lifecycle]] = []
        self._latest = 0
        for record in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
            self._take(record)
        self.inputs = [each for each in self.inputs if (each.topic, each.partition, each.offset) not in self.refused]
        waits = self.lifecycle.scheduled
        if waits is not None and millis(waits.since) <= self._latest:
            self.lifecycle = self.lifecycle.at(waits.since)
        self.revisions = dict(self.lifecycle.revisions)
        logged = {revision.sha256 for revision in self.revisions.values()}
        if configuration is not None and configuration.sha256 not in logged:
            self.revisions = {configuration.id: configuration}
            self._lifecycles = [(0, Lifecycle(self.revisions))]
        if not self.revisions:
            raise ValueError("the log holds no rotation-config record: give the configuration")
        self.funder_ids = frozenset(f.id for revision in self.revisions.values() for f in revision.config.funders)
        self._policies: dict[tuple[int, int], Policy] = {}

    def policy(self, revision: int, states_version: int) -> Policy:
        """The policy of a decision. A revision that the log does not hold is taken to be the given one."""
        key = (revision, states_version)
        if key not in self._policies:
            known = self.revisions
            states = {state.funder_id: state for offset, _, state in self.states if offset <= states_version}
            self._policies[key] = Policy(known.get(revision, known[max(known)]), states, states_version, known)
        return self._policies[key]

    def plan_at(self, timestamp: int) -> Plan:
        """The policies that records stamped up to `timestamp` (ms) make, and from which stream time each holds."""
        lifecycle = next((made for at, made in reversed(self._lifecycles) if at <= timestamp), self._lifecycles[0][1])
        version = max((offset for offset, at, _ in self.states if at <= timestamp), default=-1)
        first, *later = lifecycle.plan()
        timed = [(millis(each.since), self.policy(each.revision.id, version), each.share) for each in later]
        return Plan(self.policy(first.revision.id, version), *timed)

    def changes(self) -> list[int]:
        """When (ms) a record changed the configuration, or a funder's state, in order."""
        return sorted({at for at, _ in self._lifecycles} | {at for _, at, _ in self.states})

    @property
    def can_be_followed(self) -> bool:
        """Whether there are decisions, and each says where its worker was."""
        return bool(self.decisions) and all(each.position is not _UNKNOWN for each in self.decisions)

    def recorded(self) -> dict[str, bytes]:
        """The bytes of each recorded decision by its id; none where its repeats differ."""
        found: dict[str, bytes] = {}
        for each in self.decisions:
            decision_id = each.decision.decision_id
            # Whoever said two things is to be heard with what no replay says.
            found[decision_id] = each.value if found.get(decision_id, each.value) == each.value else b""
        return found

    def _take(self, record: LogRecord) -> None:
        self._latest = max(self._latest, record.timestamp)
        match record.topic:
            case "routing-decisions":
                self.decisions.append(Recorded.read(record))
            case "dead-letters":
                letter = DeadLetter.read(record)
                # As on the broker, under a prefix that need not be that of this process.
                name = next((name for name in BORROWER_INPUTS if letter.topic.endswith(name)), letter.topic)
                self.refused.add((name, letter.source_partition, letter.source_offset))
            case "rotation-config":
                before = self.lifecycle.plan()
                with suppress(ConfigError):  # as the workers do: what stood before it stays
                    self.lifecycle = advance(self.lifecycle, record.value or b"")
                if self.lifecycle.plan() != before:
                    self._lifecycles.append((record.timestamp, self.lifecycle))
            case "funder-states":
                with suppress(*UNREADABLE):  # the workers refused it, and kept what stood before it
                    self.states.append((record.offset, record.timestamp, read_state(record.value)))
            case topic if topic in BORROWER_INPUTS:
                self.inputs.append(record)
            case _:
                pass


def _millis(time: str) -> int:
    return millis(datetime.fromisoformat(time))
