"""Random lives of a few borrowers on one partition: moves become records, and records go through the real core.

Each record is a batch of its own, on the stream clock, so that whatever falls due on the partition happens before it.
Times of records are never those at which something falls due, so that there is one order to judge by.
"""

from collections import Counter
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from agents.share import Share
from agents.tenure import Tenure
from config.rotation import Revision
from config.settings import Settings
from market.audit import Record
from rotation.book import MemoryBook
from rotation.clock import DAY, MINUTE, shanghai_day
from rotation.events import BorrowerEvent, CreditGrant, DrawdownOutcome, DrawdownRequest, Repayment
from rotation.outputs import Decision, FunderState, encode
from rotation.plan import Plan
from rotation.policy import Policy
from rotation.waves import run_against
from streams.batches import PartitionBatch
from streams.topics import BORROWER_INPUTS
from tests.rotation.world import (
    FUNDERS,
    HOUR,
    SECOND,
    T0,
    configuration,
    funder_state,
    grant,
    outcome,
    repayment,
    request,
)

KINDS = (
    *(("ask",) * 9 + ("answer",) * 6 + ("grant",) * 3 + ("repay",) * 2 + ("again",) * 2),
    *("conflict", "stranger", "configure", "state"),
)
CUSTOMERS = ("ann", "bob", "cho")
PAUSES = (*(SECOND,) * 6, *(MINUTE,) * 3, *(20 * MINUTE,) * 2, 2 * HOUR, 9 * HOUR, 3 * DAY)
#: A little less than how long a request is remembered.
REMEMBERED = 29 * DAY
STATUSES = ("disbursed", "disbursed", "declined", "cancelled", "timed_out", "failed")
TIGHT: dict[str, Any] = {
    "rotation.min_live_grants": 0,
    "attempts.max": 3,
    "funders.*.quota": {"daily_amount": 2_000_000, "daily_count": 2},
    "funders.cf-north.guarantee.balance": 4_000_000,
    "funders.cf-north.guarantee.guaranteed": 1_300_000,
}
EDITS: tuple[dict[str, Any], ...] = (
    {},
    {"funders.cf-west.status": "paused"},
    {"funders.*.quota": {"daily_amount": 900_000, "daily_count": 1}},
    {"rotation.relax_order": ["never_last"]},
    {"holding.seconds": 86_400, "reservation.ttl_seconds": 86_400, "attempts.max": 1},
    {"rotation.exposure_budget": {"funders": 2, "within_days": 5}, "rotation.cooldown": {"days": 2}},
    {"funders.*.open": "22:00-02:30", "selection.exploration": 0.5},
    {"rotation.capture_risk": {"at_most": 0.02, "explored": 0.5}, "selection.pacing": {"step": 1.0}},
    {"rotation.capture_risk": {"at_most": 0.02}, "rotation.relax_order": ["max_share", "never_last", "capture_risk"]},
)
GRANTS: tuple[dict[str, Any], ...] = (
    *({},) * 5,
    {"limit": 700_000},
    {"apr": 2401},
    *({"status": status} for status in ("declined", "revoked", "expired")),
)
_TOPICS = dict(zip((CreditGrant, DrawdownRequest, DrawdownOutcome, Repayment), BORROWER_INPUTS, strict=True))
_decision = msgspec.json.Decoder(Decision)


class Move(NamedTuple):
    """What happens next: all numbers, each taken modulo what there is to choose from."""

    kind: str
    who: int
    which: int
    choice: int
    pause: int


class Play:
    """One partition, its book, and the log of all records of it."""

    def __init__(self) -> None:
        self.now = T0 + 137
        self.log: list[Record] = []
        self._accepted: list[tuple[BorrowerEvent, Record]] = []
        self.revisions = [_revision(1, {})]
        self.decisions: dict[str, bytes] = {}
        self.book = MemoryBook({})
        self._routed: list[Decision] = []
        self._moves = 0
        self._states: dict[str, FunderState] = {}
        self._offsets: Counter[str] = Counter()
        self._stored: dict[bytes, bytes] = {}
        self._memo = b""
        self._tenure = Tenure({}, 0, 0.0)
        self._use()
        for customer_id in CUSTOMERS[:2]:
            for funder_id in FUNDERS:
                self.publish(grant(funder_id, self.now, customer_id=customer_id))

    def do(self, move: Move) -> None:
        """Let time pass, then do what the move says, if there is anything to do it to."""
        self.now += PAUSES[move.pause % len(PAUSES)]
        self._moves += 1
        self._handle()
        match move.kind:
            case "again":
                self.repeat(move.which)
            case "configure":
                self.configure(EDITS[move.choice % len(EDITS)])
            case "state":
                self._change_state(move)
            case _:
                event = self._event(move)
                if event is not None:
                    self.publish(event)

    def configure(self, edits: dict[str, Any]) -> None:
        """The next revision comes into force."""
        self.revisions.append(_revision(len(self.revisions) + 1, edits))
        self._use()

    def repeat(self, which: int) -> None:
        """Publish one of the last accepted events again, as it stands in the log."""
        for event, record in self._remembered()[-1 - which % 9 :][:1]:
            self._handle(self._append(_TOPICS[type(event)], event.customer_id, record.value or b""))

    def publish(self, event: BorrowerEvent) -> None:
        """Publish an event for the first time."""
        refused = self._offsets["dead-letters"]
        record = self._append(_TOPICS[type(event)], event.customer_id, msgspec.json.encode(event))
        self._handle(record)
        if self._offsets["dead-letters"] == refused:
            self._accepted.append((event, record))

    def end(self) -> None:
        """Let all that is held run out."""
        self.now += 5000 * DAY
        self.publish(grant("cf-west", self.now, status="declined", customer_id="last"))

    def usage(self) -> list[tuple[int, int, int]]:
        """Amount, count and guaranteed sum of each funder today."""
        today = self.book.usage(shanghai_day(self.now), self.now)
        return [(each.amount, each.count, each.guaranteed) for each in today.values()]

    def said(self) -> list[tuple[str, bytes | None, bytes | None, object]]:
        """All records as they stand in the log, but for their stamps: dead letters carry the wall clock's."""
        return [(record.topic, record.key, record.value, record.headers) for record in self.log]

    def _remembered(self) -> list[tuple[BorrowerEvent, Record]]:
        """Accepted events that are not too old to be known when they come again."""
        return [(event, record) for event, record in self._accepted if record.timestamp > self.now - REMEMBERED]

    def _event(self, move: Move) -> BorrowerEvent | None:
        customer_id, funder_id = CUSTOMERS[move.who % len(CUSTOMERS)], FUNDERS[move.which % len(FUNDERS)]
        # Event times are all different, so that of two answers one is the newer.
        at = self.now - self._moves % 100
        match move.kind:
            case "grant":
                late, kind = divmod(move.choice, len(GRANTS))
                expires = self.now + (2 * HOUR if late % 5 == 4 else 1000 * DAY)
                changes: dict[str, Any] = {
                    "expires": expires,
                    "customer_id": customer_id,
                    "event_id": f"g{self._moves}",
                }
                return grant(funder_id, at - (late % 3) * DAY, **changes, **GRANTS[kind])
            case "ask":
                return self._request(move, customer_id, at)
            case "conflict":
                asked = [event for event, _ in self._remembered() if isinstance(event, DrawdownRequest)]
                return replace(asked[move.which % len(asked)], age=99) if asked else None
            case "stranger":
                return outcome("nobody", funder_id, STATUSES[move.choice % 6], at, customer_id=customer_id)
        if not self._routed:
            return None
        decision = self._routed[-1 - move.which % len(self._routed)]
        if move.kind == "answer":
            return self._outcome(decision, STATUSES[move.choice % 6], at, 600_000 - move.choice % 7)
        outstanding = (0, 100_000, 400_000)[move.choice % 3]
        ids = (decision.drawdown_id, decision.funder_id or "")
        return repayment(*ids, outstanding, at, customer_id=decision.customer_id)

    def _outcome(self, decision: Decision, status: str, at: int, amount: int) -> DrawdownOutcome | None:
        ids = (decision.drawdown_id, decision.funder_id or "")
        told: dict[str, Any] = {"attempt": decision.attempt, "customer_id": decision.customer_id}
        return outcome(*ids, status, at, amount=amount, event_id=f"o{self._moves}", **told)

    def _request(self, move: Move, customer_id: str, at: int) -> DrawdownRequest:
        choice, amount = divmod(move.choice, 4)
        choice, expiry = divmod(choice, 5)
        choice, form = divmod(choice, 12)
        expires = (None, None, at + 6 * HOUR, at + 4 * DAY, at - 1)[expiry]
        changes: dict[str, Any] = (
            *({},) * 8,
            {"region": "650000"},
            {"risk_grade": "C"},
            {"age": 21, "term_months": 9},
            {"exclude_funders": [FUNDERS[move.which % len(FUNDERS)]]},
        )[form]
        drawdown_id = f"dd-{self._moves}"
        amounts = (50_000, 600_000, 600_000, 1_200_000)
        told: dict[str, Any] = {"amount": amounts[amount], "expires": expires, "customer_id": customer_id}
        return request(drawdown_id, at, **told, **changes)

    def _change_state(self, move: Move) -> None:
        funder_id = FUNDERS[move.which % len(FUNDERS)]
        name, multiplier = (("normal", 1.0), ("throttled", 0.5), ("paused", 0.0))[move.choice % 3]
        risk = {"A": move.choice % 7 / 100, "B": 0.0} if move.choice % 2 else {}
        state = funder_state(funder_id, name, multiplier, A=0.3 + move.choice % 7 / 10)
        state = replace(state, capture_risk=risk, price=move.choice % 5 / 4)
        self._append("funder-states", funder_id, encode(state))
        self._states = {**self._states, funder_id: state}
        self._use()

    def _use(self) -> None:
        """The last revision and the funders' states come into force."""
        known = {revision.id: revision for revision in self.revisions}
        self._policy = Policy(self.revisions[-1], self._states, self._offsets["funder-states"] - 1, known)
        self.book.limits = self._policy.limits
        self._handle()

    def _append(self, topic: str, key: str, value: bytes) -> Record:
        trace = (("traceparent", f"{topic}-{self._offsets[topic]}".encode()),)
        record = Record(topic, 0, self._offsets[topic], self.now, key.encode(), value, trace)
        self._offsets[topic] += 1
        self.log.append(record)
        return record

    def _handle(self, *records: Record) -> None:
        part = PartitionBatch(0, BORROWER_INPUTS, list(records), dict(self._stored), self._memo)
        share = Share(
            Settings(clock="stream"), part, self._tenure, (plan := Plan(self._policy)), latest=None, elapsed=self.now
        )
        run_against(self.book, share.turns(plan.phases[0]))
        result = share.result()
        self._stored.update((key, value) for key, value in result.changes.items() if value is not None)
        self._memo = result.memo
        share.settle()
        for output in result.outputs:
            offset = self._offsets[output.topic]
            self._offsets[output.topic] += 1
            self.log.append(Record(output.topic, 0, offset, output.timestamp, output.key, output.value, output.headers))
            if output.topic == "routing-decisions":
                self._hear(output.value or b"")

    def _hear(self, value: bytes) -> None:
        decision = _decision.decode(value)
        if self.decisions.setdefault(decision.decision_id, value) is value and decision.status == "routed":
            self._routed.append(decision)


def _revision(number: int, edits: dict[str, Any]) -> Revision:
    return Revision(number, f"sha-{number}", configuration(TIGHT | edits), b"")
