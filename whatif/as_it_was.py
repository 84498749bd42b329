"""One partition as it was: recorded decisions are applied, nothing is decided.

Before each first decision on a drawdown the draft is asked what it would have chosen for that borrower at that moment:
these are the samples of `whatif.estimate`.
"""

from array import array
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np

from rotation.clock import shanghai_day
from rotation.decide import decide
from rotation.events import BorrowerEvent, DrawdownRequest
from rotation.ledger import ask_of
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved, Room, reservation_id
from rotation.state import Borrower, Drawdown, LedgerEntry
from rotation.turn import Turn
from whatif.book import LaneBook
from whatif.estimate import BLOCKS, NOBODY, Samples
from whatif.history import History
from whatif.overlap import moved_weight
from whatif.recorded import Recorded, Records, Result
from whatif.side import Side, run

_COLUMNS = (("block", "q"), ("chosen", "q"), ("draft", "q"), ("covered", "b"), ("weight", "d"))
_VALUES = 3

Candidates = list[tuple[str, float]]
Refusal = Callable[[str, Reserve], Room | None]


class AsItWas(Side):
    """The recorded side. `in_flight` drawdowns had no outcome yet when the record ended.

    `refusal` tells whether a funder has room under the draft's own decisions.
    """

    def __init__(self, records: Records, history: History, refusal: Refusal) -> None:
        super().__init__(LaneBook(Policy(history.active, {}, -1).limits))
        self.in_flight = 0
        self._records = records
        self._history = history
        self._refusal = refusal
        self._sampled: set[str] = set()
        self._columns: dict[str, Any] = {name: array(code) for name, code in _COLUMNS}
        self._values = [array("d") for _ in range(3 * _VALUES)]

    def fold(self, event: BorrowerEvent, clock: int) -> None:
        """Let an event other than a request happen."""
        turn = Turn(event.customer_id, self.borrowers[event.customer_id], self._history.base)
        for _ in turn.handle(event, clock, [], quiet=True):
            raise AssertionError("a quiet turn reserves nothing")
        self.book.note(turn.operations)

    def decided(self, made: Recorded, request: DrawdownRequest, alike: Candidates | None) -> None:
        """Let a recorded decision happen; `alike` are the draft's candidates if it was asked where all was the same."""
        if made.attempt == 1 and made.drawdown_id not in self._sampled:
            self._sample(made, request, alike)
        if made.funder_id is None:
            return
        due = made.at + self._history.waits(made.config_revision)
        enter(self.borrowers[made.customer_id], made, made.funder_id, request.amount, request.risk_grade, due)
        key = reservation_id(made.customer_id, made.drawdown_id, made.attempt)
        asked = Reserve(key, (), request.amount, made.at, shanghai_day(made.at), due)
        self.book.put(asked, made.funder_id)
        self.tally.route(made.funder_id, request.amount, made.attempt, made.relaxed)

    def samples(self) -> Samples:
        """All samples so far."""
        column = {name: np.array(values, dtype=np.int64) for name, values in self._columns.items() if name != "weight"}
        values = [np.array(each, dtype=np.float64) for each in self._values]
        before, after, most = (np.stack(values[n : n + _VALUES], axis=1) for n in range(0, 3 * _VALUES, _VALUES))
        return Samples(
            column["block"],
            column["chosen"],
            column["draft"],
            column["covered"].astype(np.bool_),
            np.array(self._columns["weight"], dtype=np.float64),
            before,
            after,
            most,
        )

    def _sample(self, made: Recorded, request: DrawdownRequest, alike: Candidates | None) -> None:
        """Ask the draft what it would have chosen here. A hold that it would hold too is looked at when it ends."""
        candidates: Candidates = []
        if alike is not None and made.status == "routed" and not made.full:
            candidates = alike
        elif made.status != "rejected":
            policy = self._history.policy(made.funder_states_version)
            drawdown = drawdown_of(request, made.attempt)
            ask = ask_of(made.customer_id, self.borrowers[made.customer_id], drawdown, made.at)
            candidates = run(decide(policy, ask), partial(self._room, made)).candidates
        if made.status == "held" and not candidates:
            return
        self._sampled.add(made.drawdown_id)
        result = self._records.result(made.drawdown_id)
        if result is None:
            self.in_flight += 1
            return
        recorded = {each.funder_id: each.propensity for each in made.candidates}
        draft = dict(candidates)
        weight = 0.0
        if made.funder_id is not None and made.funder_id in draft:
            seed = self._history.same_seed(made.config_revision)
            weight = moved_weight(made.funder_id, recorded, draft, same_seed=seed)
        chosen = candidates[0][0] if candidates else None
        self._note(made, chosen, weight, chosen in recorded and recorded[chosen] > 0, request.amount, result)

    def _room(self, made: Recorded, asked: Reserve) -> Reserved:
        """Who has room: as recorded where the limits are the same, else by what the draft's own decisions left."""
        full = {each for each in made.full if self._history.same_limits(each, made.config_revision)}
        had = made.funder_id if self._history.same_limits(made.funder_id, made.config_revision) else None
        passed_over: list[tuple[str, Room]] = []
        for funder_id in asked.candidates:
            refusal = made.full[funder_id] if funder_id in full else None
            if refusal is None and funder_id != had:
                refusal = self._refusal(funder_id, asked)
            if refusal is None:
                return Reserved(funder_id, tuple(passed_over))
            passed_over.append((funder_id, refusal))
        return Reserved(None, tuple(passed_over))

    def _note(
        self, made: Recorded, draft: str | None, weight: float, covered: bool, amount: int, result: Result
    ) -> None:
        places = self._history.places
        block = int.from_bytes(blake2b(made.customer_id.encode(), digest_size=4).digest(), "big") % BLOCKS
        chosen = NOBODY if made.funder_id is None else places[made.funder_id]
        row = (block, chosen, NOBODY if draft is None else places[draft], covered, weight)
        for (name, _), value in zip(_COLUMNS, row, strict=True):
            self._columns[name].append(value)
        loan = float(result.amount > 0)
        fee = 0.0 if draft is None else amount * self._history.draft_fee_bp(draft, made.config_revision) / 10_000
        values = (loan, result.amount, result.fee_before, loan, result.amount, result.fee_after, 1.0, amount, fee)
        for column, number in zip(self._values, values, strict=True):
            column.append(number)


def enter(borrower: Borrower, made: Recorded, funder_id: str, amount: int, risk_grade: str, due: int) -> None:
    """Let a recorded decision for a funder happen to its borrower; `due` is when the reservation ends (ms)."""
    borrower.ledger.append(LedgerEntry(made.drawdown_id, made.attempt, funder_id, made.at, due, amount, risk_grade))
    borrower.seen[funder_id] = max(made.at, borrower.seen.get(funder_id, made.at))


def drawdown_of(request: DrawdownRequest, attempt: int) -> Drawdown:
    """What the rules look at in an attempt at a drawdown."""
    return Drawdown(
        drawdown_id=request.drawdown_id,
        fingerprint=b"",
        amount=request.amount,
        term_months=request.term_months,
        region=request.region,
        risk_grade=request.risk_grade,
        age=request.age,
        expires_at=0,
        exclude_funders=request.exclude_funders or [],
        trace=[],
        attempt=attempt,
    )
