"""One partition as it was: recorded decisions are applied, nothing is decided.

Before each first decision on a drawdown the draft is asked what it would have chosen for that borrower at that moment:
these are the samples of `whatif.estimate`.
"""

from array import array
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import blake2b

import numpy as np

from rotation.clock import shanghai_day
from rotation.decide import decide, run_to_end
from rotation.events import CreditGrant, DrawdownOutcome, DrawdownRequest, Repayment
from rotation.fold import Folding, Refusal
from rotation.ledger import ask_of, forget
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved, Room, reservation_id
from rotation.state import Borrower, Drawdown, LedgerEntry
from whatif.book import LaneBook
from whatif.decision import Recorded
from whatif.estimate import BLOCKS, NOBODY, Samples
from whatif.history import History
from whatif.overlap import moved_weight
from whatif.recorded import Records
from whatif.side import Side

Candidates = list[tuple[str, float]]
Refuses = Callable[[str, Reserve], Room | None]


class AsItWas(Side):
    """The recorded side. `in_flight` drawdowns had no outcome yet when the record ended; `older` ones that events tell
    of were decided before it began.

    `refusal` tells whether a funder has room under the draft's own decisions.
    """

    def __init__(self, records: Records, history: History, refusal: Refuses) -> None:
        super().__init__(LaneBook(Policy(history.active, {}, -1).limits))
        self.in_flight = 0
        self._records = records
        self._history = history
        self._refusal = refusal
        self._sampled: set[str] = set()
        self.older: set[str] = set()
        self._blocks: dict[str, int] = {}
        self._drawdowns, self._money, self._weights = array("i"), array("d"), array("d")

    def fold(self, event: CreditGrant | DrawdownOutcome | Repayment, clock: int) -> None:
        """Let an event other than a request happen."""
        folding = Folding(event.customer_id, self.borrowers[event.customer_id])
        told = folding.fold(event, clock)
        if not isinstance(told, Refusal):
            forget(folding.borrower, clock)
        elif told.reason == "unknown_drawdown" and not isinstance(event, CreditGrant):
            self.older.add(event.drawdown_id)
        self.book.note(folding.take_operations())

    def decided(self, made: Recorded, request: DrawdownRequest, alike: Candidates | None, *, counts: bool) -> None:
        """Let a recorded decision happen; `alike` are the draft's candidates if it was asked where all was the same."""
        at = made.at
        if counts and made.attempt == 1 and made.drawdown_id not in self._sampled:
            self._sample(made, at, request, alike)
        if made.funder_id is None:
            return
        due = at + self._history.waits(made.config_revision)
        enter(self.borrowers[made.customer_id], made, made.funder_id, request.amount, request.risk_grade, due)
        key = reservation_id(made.customer_id, made.drawdown_id, made.attempt)
        asked = Reserve(key, (), request.amount, at, shanghai_day(at), due)
        self.book.put(asked, made.funder_id)
        if counts:
            self.tally.route(made.funder_id, request.amount, made.attempt, made.relaxed)

    def samples(self) -> Samples:
        """All samples so far."""
        drawdowns = np.array(self._drawdowns, dtype=np.int64).reshape(-1, 4)
        lent, fee_before, fee_after, amount, fee = np.array(self._money, dtype=np.float64).reshape(-1, 5).T
        loans = (lent > 0).astype(np.float64)
        return Samples(
            block=drawdowns[:, 0],
            chosen=drawdowns[:, 1],
            draft=drawdowns[:, 2],
            covered=drawdowns[:, 3].astype(np.bool_),
            weight=np.array(self._weights, dtype=np.float64),
            before=np.stack([loans, lent, fee_before], axis=1),
            after=np.stack([loans, lent, fee_after], axis=1),
            most=np.stack([np.ones_like(lent), amount, fee], axis=1),
        )

    def _sample(self, made: Recorded, at: int, request: DrawdownRequest, alike: Candidates | None) -> None:
        """Ask the draft what it would have chosen here. A hold that it would hold too is looked at when it ends."""
        candidates: Candidates = []
        full = self._records.full(made)
        if alike is not None and made.status == "routed" and not full:
            candidates = alike
        elif made.status != "rejected":
            policy = self._history.policy(made.funder_states_version)
            drawdown = drawdown_of(request, made.attempt)
            ask = ask_of(made.customer_id, self.borrowers[made.customer_id], drawdown, at)
            candidates = run_to_end(decide(policy, ask), partial(self._room, made, full)).candidates
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
        to = candidates[0][0] if candidates else None
        self._drawdowns.extend(
            (
                self._block(made.customer_id),
                self._place(made.funder_id),
                self._place(to),
                int(to is not None and recorded.get(to, 0.0) > 0),
            )
        )
        self._weights.append(weight)
        fee = 0.0 if to is None else request.amount * self._history.draft_fee_bp(to, made.config_revision) / 10_000
        self._money.extend((result.amount, result.fee_before, result.fee_after, request.amount, fee))

    def _room(self, made: Recorded, full: Mapping[str, Room], asked: Reserve) -> Reserved:
        """Who has room: as recorded where the limits are the same, else by what the draft's own decisions left."""
        had = made.funder_id if self._history.same_limits(made.funder_id, made.config_revision) else None
        passed_over: list[tuple[str, Room]] = []
        for funder_id in asked.candidates:
            known = funder_id in full and self._history.same_limits(funder_id, made.config_revision)
            refusal = full[funder_id] if known else None
            if refusal is None and funder_id != had:
                refusal = self._refusal(funder_id, asked)
            if refusal is None:
                return Reserved(funder_id, tuple(passed_over))
            passed_over.append((funder_id, refusal))
        return Reserved(None, tuple(passed_over))

    def _place(self, funder_id: str | None) -> int:
        return NOBODY if funder_id is None else self._history.places[funder_id]

    def _block(self, customer_id: str) -> int:
        block = self._blocks.get(customer_id)
        if block is None:
            digest = blake2b(customer_id.encode(), digest_size=4).digest()
            block = self._blocks[customer_id] = int.from_bytes(digest, "big") % BLOCKS
        return block


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
