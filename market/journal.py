"""What the demo has seen so far: every record for the audit, and the running figures for the view."""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field

import msgspec

from market.audit.log import Record
from rotation.outputs import Decision

RECENT = 40
SECONDS_SHOWN = 60
ANSWERED = ("disbursed", "declined", "cancelled")


@dataclass(slots=True)
class Taken:
    """What a funder has been given: decisions and their outcomes, and what counts against today's quota (fen)."""

    routed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    amount: int = 0
    count: int = 0

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
        self.borrowers: dict[str, deque[str]] = {}
        self.latencies: list[int] = []
        self.per_second: deque[tuple[int, int]] = deque(maxlen=SECONDS_SHOWN)
        self.first_decision_at: int | None = None
        self.last_output_at = 0
        self.inputs_read = 0
        self._asked: dict[str, tuple[int, int]] = {}
        self._open: set[str] = set()
        self._attempts: dict[str, tuple[str, int]] = {}
        self._decided: set[str] = set()
        self._answered: set[str] = set()

    @property
    def waiting(self) -> int:
        """How many drawdowns have been asked for and have no decision yet."""
        return len(self._open)

    def add(self, record: Record) -> Decision | None:
        """Take in one record; the decision in it when it is one that had not been seen before."""
        self.records.append(record)
        if record.topic == "routing-decisions":
            return self._decision(record)
        if record.topic == "dead-letters":
            self.dead_letters[record.header("dlq.reason") or "none"] += 1
            self.last_output_at = record.received or 0
        elif record.topic not in ("credit-applications", "funder-states"):
            self.inputs_read += 1
        return None

    def asked(self, drawdown_id: str, amount: int, at: int) -> None:
        """A valid request was published at `at` (ms); a repeat of it changes nothing."""
        if drawdown_id not in self._asked:
            self._asked[drawdown_id] = (amount, at)
            self._open.add(drawdown_id)

    def answered(self, drawdown_id: str, attempt: int, status: str) -> None:
        """A valid outcome was published."""
        decision_id = f"{drawdown_id}:{attempt}"
        funder_id, amount = self._attempts[decision_id]
        taken = self.funders[funder_id]
        if decision_id in self._answered:
            if status != "disbursed" or taken.outcomes["disbursed"] < 0:
                return
        self._answered.add(decision_id)
        taken.outcomes[status] += 1
        if status != "disbursed":
            taken.amount -= amount
            taken.count -= 1

    def _decision(self, record: Record) -> Decision | None:
        now = record.received or 0
        decision = msgspec.json.decode(record.value or b"", type=Decision)
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
        self._tick(now // 1000)
        if decision.funder_id is not None:
            self._routed(decision, decision.funder_id)
        return decision

    def _routed(self, decision: Decision, funder_id: str) -> None:
        amount = self._asked[decision.drawdown_id][0]
        self._attempts[decision.decision_id] = (funder_id, amount)
        self.relaxed.update(decision.relaxed)
        taken = self.funders[funder_id]
        taken.routed += 1
        taken.amount += amount
        taken.count += 1
        recent = self.borrowers.pop(decision.customer_id, deque(maxlen=RECENT))
        recent.append(funder_id)
        self.borrowers[decision.customer_id] = recent  # the last in the dict came last

    def _tick(self, second: int) -> None:
        if self.per_second and self.per_second[-1][0] == second:
            self.per_second[-1] = (second, self.per_second[-1][1] + 1)
        else:
            self.per_second.append((second, 1))
