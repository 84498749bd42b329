"""A draft in the shadow of the active revision: what it would have decided of live traffic, without effect.

The shadow leads each borrower along the recorded inputs and decisions, as the workers' positions tell their order, and
asks the draft at each decision, of the borrower as they really are at that moment. A draft's own choices never enter
anybody's ledger: that is the question of `whatif.lane`.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from contextlib import suppress
from heapq import merge

import msgspec

from config.lifecycle import Lifecycle, advance
from config.problems import ConfigError
from config.rotation import Revision
from rotation.decide import decide, run_to_end
from rotation.events import CaptureSignal, DrawdownRequest
from rotation.ledger import ask_of
from rotation.policy import Policy
from rotation.reservations import FunderLimits, Reserve, Reserved, Room
from rotation.state import Borrower
from rotation.turn import Turn
from streams.codec import UNREADABLE, BadInput, decode, read_state
from streams.deadletters import DeadLetter
from streams.headers import POSITION_HEADER, Position, header
from streams.log import LogRecord
from streams.topics import BORROWER_INPUTS
from whatif.as_it_was import drawdown_of, enter
from whatif.decision import Explained
from whatif.history import Drafted
from whatif.shadow_told import Decided, Differing, Kind, Seen, Sides

#: What a shadow reads.
FOLLOWED = (*BORROWER_INPUTS, "routing-decisions", "funder-states", "rotation-config", "dead-letters")
#: How many differing decisions are listed; of more the last ones.
LISTED = 1000


class _Lane:
    """One partition: what waits to be known before what."""

    def __init__(self, reached: list[int]) -> None:
        self.reached = reached
        self.waiting: defaultdict[str, list[list[LogRecord]]] = defaultdict(lambda: [[] for _ in BORROWER_INPUTS])
        self.decisions: deque[tuple[int, Explained, Position]] = deque()


class Shadow:
    """A draft on its way beside the workers. `begins` and `ends` are those of `streams.reading.Following`.

    What was decided before `ends` only makes the borrowers what they are.
    """

    def __init__(
        self, draft: Revision, begins: Mapping[tuple[str, int], int], ends: Mapping[tuple[str, int], int]
    ) -> None:
        self._drafted = Drafted(draft)
        self._begins = begins
        self._ends = ends
        self._lifecycle = Lifecycle()
        self._limits: dict[int, dict[str, FunderLimits]] = {}
        self._version = begins.get(("funder-states", 0), 0) - 1
        self._refused: set[tuple[str, int, int]] = set()
        self._lanes: dict[int, _Lane] = {}
        self._borrowers: defaultdict[str, Borrower] = defaultdict(Borrower)
        self._differing: deque[Differing] = deque(maxlen=LISTED)
        self._known: set[str] = set()
        self._revision = 0
        self._seen = Seen()

    def seen(self) -> Seen:
        """What was seen so far."""
        recorded = self._limits.get(self._revision, {})
        changed = [id_ for id_, limit in self._drafted.base.limits.items() if recorded and recorded.get(id_) != limit]
        return msgspec.structs.replace(self._seen, differing=list(self._differing), unjudged=changed)

    def take(self, record: LogRecord) -> None:
        """Take a record; those of one partition of a topic in their order, topics as they come."""
        match record.topic:
            case "rotation-config":
                with suppress(ConfigError):  # as the workers do: what stood before it stays
                    self._lifecycle = advance(self._lifecycle, record.value or b"")
                    newest = self._lifecycle.revisions[len(self._lifecycle.revisions)]
                    self._known.update(funder.id for funder in newest.config.funders)
            case "funder-states":
                with suppress(*UNREADABLE):  # as the workers refused it
                    self._drafted.learn(record.offset, read_state(record.value))
                self._version = record.offset
            case "dead-letters":
                letter = DeadLetter.read(record)
                name = next((name for name in BORROWER_INPUTS if letter.topic.endswith(name)), letter.topic)
                self._refused.add((name, letter.source_partition, letter.source_offset))
            case "routing-decisions":
                self._take_decision(record)
            case topic:
                lane, index = self._lane(record.partition), BORROWER_INPUTS.index(topic)
                lane.reached[index] = record.offset + 1
                lane.waiting[(record.key or b"").decode(errors="replace")][index].append(record)

    def go_on(self) -> None:
        """Look at all decisions of which everything is known that they took into account."""
        for partition, lane in self._lanes.items():
            while lane.decisions and self._is_known(lane, *lane.decisions[0][1:]):
                offset, made, position = lane.decisions.popleft()
                live = offset >= self._ends.get(("routing-decisions", partition), 0)
                self._decided(lane, made, position, live=live)

    def _lane(self, partition: int) -> _Lane:
        if partition not in self._lanes:
            self._lanes[partition] = _Lane([self._begins.get((topic, partition), 0) for topic in BORROWER_INPUTS])
        return self._lanes[partition]

    def _take_decision(self, record: LogRecord) -> None:
        position = header(record.headers, POSITION_HEADER)
        with suppress(msgspec.DecodeError, ValueError):  # no worker wrote it
            made = Explained.read(record.value)
            if position is not None:
                self._lane(record.partition).decisions.append((record.offset, made, Position.decode(position)))

    def _is_known(self, lane: _Lane, made: Explained, position: Position) -> bool:
        return (
            all(reached >= needed for reached, needed in zip(lane.reached, position.offsets, strict=True))
            and made.funder_states_version <= self._version
            and made.config_revision in self._lifecycle.revisions
        )

    def _decided(self, lane: _Lane, made: Explained, position: Position, *, live: bool) -> None:
        borrower = self._borrowers[made.customer_id]
        self._fold(borrower, lane, made.customer_id, position)
        drawdown = borrower.drawdowns.get(made.drawdown_id)
        if drawdown is None:
            return  # the log begins after its request
        before = (0, False) if drawdown.status is None else (drawdown.attempt, drawdown.status != "held")
        if (made.attempt, made.status != "held") <= before:
            return  # published again
        drawdown.attempt = made.attempt
        if live and made.status != "rejected":
            self._revision = made.config_revision
            policy = self._drafted.policy(made.funder_states_version)
            ask = ask_of(made.customer_id, borrower, drawdown, made.at)
            verdict = run_to_end(decide(policy, ask), lambda asked: self._room(made, asked))
            codes = policy.roster.by_member(verdict.dropped)
            self._compare(made, Decided(verdict.funder_id, verdict.relaxed, codes))
        drawdown.status, drawdown.decided_at = made.status, made.at
        if made.funder_id is not None:
            waits = self._lifecycle.revisions[made.config_revision].config.reservation.ttl_seconds * 1000
            enter(borrower, made, made.funder_id, drawdown.amount, drawdown.risk_grade, made.at + waits)

    def _fold(self, borrower: Borrower, lane: _Lane, customer_id: str, position: Position) -> None:
        """Let happen what the worker had read of the borrower when it decided; the cause is the last of it."""
        waiting = lane.waiting[customer_id]
        read: list[list[LogRecord]] = []
        for index, upto in enumerate(position.offsets):
            read.append([record for record in waiting[index] if record.offset < upto])
            waiting[index] = waiting[index][len(read[-1]) :]
        if not any(waiting):
            del lane.waiting[customer_id]
        turn = Turn(customer_id, borrower, self._drafted.base)
        for record in merge(*read, key=lambda record: record.timestamp):
            if (record.topic, record.partition, record.offset) in self._refused:
                continue
            event = decode(
                record.topic, record.key, record.value, record.timestamp, known_funders=self._known, latest=None
            )
            if isinstance(event, DrawdownRequest):
                asked = drawdown_of(event, 1)
                asked.decided_at = record.timestamp  # or it is forgotten at once
                borrower.drawdowns.setdefault(event.drawdown_id, asked)  # of several with one id the first stands
            elif not isinstance(event, BadInput | CaptureSignal):
                for _ in turn.handle(event, record.timestamp, [], quiet=True):
                    raise AssertionError("a quiet turn reserves nothing")

    def _limits_of(self, revision: int) -> dict[str, FunderLimits]:
        if revision not in self._limits:
            self._limits[revision] = Policy(self._lifecycle.revisions[revision], {}, -1).limits
        return self._limits[revision]

    def _room(self, made: Explained, asked: Reserve) -> Reserved:
        """Who was full is full under the draft, too, where it has the same limits. Everybody else has room."""
        passed_over: list[tuple[str, Room]] = []
        recorded, full = self._limits_of(made.config_revision), made.full
        for funder_id in asked.candidates:
            if funder_id not in full or recorded.get(funder_id) != self._drafted.base.limits[funder_id]:
                return Reserved(funder_id, tuple(passed_over))
            passed_over.append((funder_id, full[funder_id]))
        return Reserved(None, tuple(passed_over))

    def _compare(self, made: Explained, draft: Decided) -> None:
        active, seen = Decided(made.funder_id, made.relaxed, made.codes()), self._seen
        kind = _kind(active, draft)
        seen.compared += 1
        seen.kinds[kind] += 1
        for side, decided in (("active", active), ("draft", draft)):
            if decided.funder_id is not None:
                _count(seen.funders, decided.funder_id, side, 1)
            for code, number in Counter(code for codes in decided.excluded.values() for code in codes).items():
                _count(seen.codes, code, side, number)
        if kind in ("funder", "held", "routed"):
            to = seen.moved.setdefault(active.funder_id or "", {})
            to[draft.funder_id or ""] = to.get(draft.funder_id or "", 0) + 1
        if kind != "same":
            decision_id = f"{made.drawdown_id}:{made.attempt}" + (":held" if made.status == "held" else "")
            at = made.decided_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._differing.append(
                Differing(decision_id, made.drawdown_id, at, made.config_revision, kind, active, draft)
            )


def _kind(active: Decided, draft: Decided) -> Kind:
    if active.funder_id != draft.funder_id:
        return "routed" if active.funder_id is None else "held" if draft.funder_id is None else "funder"
    return "same" if active == draft else "codes"


def _count(counts: dict[str, Sides], name: str, side: str, number: int) -> None:
    sides = counts.setdefault(name, Sides())
    setattr(sides, side, getattr(sides, side) + number)
