"""What funders answer to the draft's decisions.

As recorded where the record says what became of that drawdown at that funder. Where it says nothing an answer is drawn
by the share of loans among the funder's answers so far, and a loan that the record does not have is settled after as
long as another one was: only so that ledgers go on.
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from hashlib import blake2b

import msgspec

from rotation.clock import MINUTE
from rotation.events import DrawdownOutcome, DrawdownRequest, Repayment
from rotation.state import LedgerEntry
from whatif.history import History
from whatif.recorded import Records

#: How long a funder takes to answer where the record does not say.
_ANSWER = 10 * MINUTE
_WHOLE = 2.0**64
#: Of how many recorded loans, the last ones settled, one tells how long a loan lasts that the record does not have.
_DONORS = 100
#: How many answers the platform's own pass rate counts for beside the recorded ones.
_BELIEF = 20

Answer = DrawdownOutcome | Repayment


class Answers:
    """The funders of one partition. `guessed` of the answers `given` were drawn."""

    def __init__(self, records: Records, history: History) -> None:
        self.given = self.guessed = 0
        self._records = records
        self._history = history
        self._told: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self._lasted: deque[int] = deque(maxlen=_DONORS)

    def learn(self, outcome: DrawdownOutcome, risk_grade: str) -> None:
        """A recorded outcome came."""
        told = self._told[outcome.funder_id, risk_grade]
        told[0] += outcome.status == "disbursed"
        told[1] += 1

    def learn_settlement(self, drawdown_id: str, at: int) -> None:
        """A recorded loan was settled."""
        lent_at = [lent for lent, each in self._records.outcomes(drawdown_id) if each.status == "disbursed"]
        self._lasted.extend(at - lent for lent in lent_at[:1])

    def of(
        self, request: DrawdownRequest, entry: LedgerEntry, version: int, *, counts: bool
    ) -> Iterator[tuple[int, Answer]]:
        """What comes of a decision of the draft, each with its time (ms); nothing where the record ends before that."""
        outcomes = self._records.outcomes(entry.drawdown_id)
        told = [(at, outcome) for at, outcome in outcomes if outcome.funder_id == entry.funder_id]
        for at, outcome in told:
            answer = msgspec.structs.replace(outcome, attempt=entry.attempt)
            yield max(at, entry.decided_at + 1), answer
        waiting = not told and self._records.awaits(entry.drawdown_id, entry.funder_id)
        self.given += counts and not waiting
        if told or waiting:
            return
        self.guessed += counts
        digest = blake2b(f"{entry.drawdown_id}\0{entry.funder_id}".encode(), digest_size=16).digest()
        drawn, donor = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
        believed = self._history.pass_rate(entry.funder_id, entry.risk_grade, version)
        loans, answers = self._told[entry.funder_id, entry.risk_grade]
        passes = drawn / _WHOLE < (loans + _BELIEF * believed) / (answers + _BELIEF)
        answer = DrawdownOutcome(
            event_id=f"what-if-{entry.attempt}",
            occurred_at=request.occurred_at,
            drawdown_id=entry.drawdown_id,
            customer_id=request.customer_id,
            funder_id=entry.funder_id,
            attempt=entry.attempt,
            status="disbursed" if passes else "declined",
            amount=entry.amount if passes else None,
        )
        answered = entry.decided_at + _ANSWER
        yield answered, answer
        if passes and self._lasted and not any(outcome.status == "disbursed" for _, outcome in outcomes):
            settlement = Repayment(
                event_id="what-if",
                occurred_at=request.occurred_at,
                drawdown_id=entry.drawdown_id,
                customer_id=request.customer_id,
                funder_id=entry.funder_id,
                kind="settled",
                principal=entry.amount,
                outstanding=0,
            )
            yield answered + self._lasted[donor % len(self._lasted)], settlement
