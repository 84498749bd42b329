"""What the demo has seen so far: every record for the audit, and the running figures for the view."""

from collections import Counter, defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from market.audit.loans import shanghai_day
from market.audit.log import Record
from rotation.events import DrawdownOutcome
from rotation.outputs import Decision

RECENT = 40
INPUTS = ("credit-grants", "drawdown-requests", "drawdown-outcomes", "repayments", "capture-signals")
ANSWERED = ("disbursed", "declined", "cancelled")


class Routed(NamedTuple):
    """A drawdown that was routed to a funder; `relaxed` tells that rotation rules were given up for it."""

    decision_id: str
    funder_id: str
    relaxed: bool


@dataclass(slots=True)
class Taken:
    """What a funder has been given: decisions and their outcomes, and what counts against today's quota (fen)."""

    routed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    amount: int = 0
    count: int = 0
    day: int = 0

    def take(self, amount: int, day: int) -> None:
        """One more drawdown is routed here on that Shanghai day."""
        if day != self.day:
            self.day, self.amount, self.count = day, 0, 0
        self.routed += 1
        self.amount += amount
        self.count += 1

    def give_back(self, amount: int) -> None:
        """It came to nothing."""
        self.amount -= amount
        self.count -= 1

    @property
    def pass_rate(self) -> float | None:
        """Share of disbursed among the answered; None before the first answer."""
        answered = sum(self.outcomes[status] for status in ANSWERED)
        return self.outcomes["disbursed"] / answered if answered else None


class Journal:
    """Takes in records in the order of their arrival."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.published = 0
        self.expected: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.relaxed: Counter[str] = Counter()
        self.funders: dict[str, Taken] = defaultdict(Taken)
        self.borrowers: dict[str, deque[Routed]] = defaultdict(lambda: deque(maxlen=RECENT))
        self.not_loans: set[str] = set()
        self.latencies: list[int] = []
        self.first_decision_at: int | None = None
        self.last_output_at = 0
        self.inputs_read = 0
        self._asked: dict[str, tuple[int, int]] = {}
        self._open: set[str] = set()
        self._held: set[str] = set()
        self._unanswered: dict[str, tuple[str, int]] = {}
        self._decided: set[str] = set()
        self._per_second: Counter[int] = Counter()

    @property
    def waiting(self) -> int:
        """How many drawdowns have been asked for and have no decision yet."""
        return len(self._open)

    @property
    def waiting_since(self) -> int | None:
        """When (ms) the oldest of them was asked for. May be asked from another thread."""
        return min((self._asked[drawdown_id][1] for drawdown_id in self._open.copy()), default=None)

    @property
    def held(self) -> int:
        """How many drawdowns are on hold."""
        return len(self._held)

    def asked(self, drawdown_id: str, amount: int, at: int) -> None:
        """A valid request is published at `at` (ms); a repeat of it changes nothing."""
        if drawdown_id not in self._asked:
            self._asked[drawdown_id] = (amount, at)
            self._open.add(drawdown_id)

    def per_second(self, now: int, seconds: int) -> list[int]:
        """How many decisions were received in each of the last `seconds` full seconds before `now` (ms)."""
        this = now // 1000
        return [self._per_second[second] for second in range(this - seconds, this)]

    def add(self, record: Record) -> Decision | None:
        """Take in one record that was read; the decision in it when it is one that had not been seen before."""
        self.records.append(record)
        if record.topic in INPUTS:
            self.inputs_read += 1
            if record.topic == "drawdown-outcomes":
                self._outcome(record)
            return None
        if record.topic == "routing-decisions":
            return self._decision(record)
        if record.topic == "dead-letters":
            self.last_output_at = record.received or 0
            self.dead_letters[record.header("dlq.reason") or "none"] += 1
        return None

    def _outcome(self, record: Record) -> None:
        with suppress(msgspec.DecodeError):
            outcome = msgspec.json.decode(record.value or b"", type=DrawdownOutcome)
            routed = self._unanswered.pop(f"{outcome.drawdown_id}:{outcome.attempt}", None)
            if routed is None:
                return
            funder_id, amount = routed
            self.funders[funder_id].outcomes[outcome.status] += 1
            if outcome.status != "disbursed":
                self.funders[funder_id].give_back(amount)
            if outcome.status not in ("disbursed", "cancelled"):
                self.not_loans.add(f"{outcome.drawdown_id}:{outcome.attempt}")

    def _decision(self, record: Record) -> Decision | None:
        now = record.received or 0
        decision = msgspec.json.decode(record.value or b"", type=Decision)
        if decision.reasons != ["expired"]:  # that one answers nothing but time
            self.last_output_at = now
        if decision.decision_id in self._decided:
            return None
        self._decided.add(decision.decision_id)
        if self.first_decision_at is None:
            self.first_decision_at = now
        if decision.drawdown_id in self._open:
            self._open.remove(decision.drawdown_id)
            self.latencies.append(now - self._asked[decision.drawdown_id][1])
        self.statuses[decision.status] += 1
        if decision.status == "held":
            self._held.add(decision.drawdown_id)
        else:
            self._held.discard(decision.drawdown_id)
        self._per_second[now // 1000] += 1
        if decision.funder_id is not None:
            self._routed(decision, decision.funder_id, shanghai_day(now))
        return decision

    def _routed(self, decision: Decision, funder_id: str, day: int) -> None:
        amount = self._asked[decision.drawdown_id][0]
        self._unanswered[decision.decision_id] = (funder_id, amount)
        self.relaxed.update(decision.relaxed)
        self.funders[funder_id].take(amount, day)
        self.borrowers[decision.customer_id].append(Routed(decision.decision_id, funder_id, bool(decision.relaxed)))
