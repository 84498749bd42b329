"""A borrower's turn: what one event, or time itself, makes of a borrower's record, and what is said about it.

This is the whole life of a drawdown: requested, held, woken, routed, answered, tried again, expired, repaid.
A turn changes the borrower's record in place, and gathers what has to be done elsewhere: operations for the
reservation book, and what to say (decisions, advice, events for the funders' agent).
"""

from hashlib import blake2b

import msgspec

from rotation.advice import advise
from rotation.decide import Steps, Verdict, decide, reject
from rotation.events import BorrowerEvent, DrawdownOutcome, DrawdownRequest, millis
from rotation.fold import Folding, Refusal
from rotation.ledger import ask_of, entry_of, forget
from rotation.memory import make, remember, say, say_again
from rotation.outputs import CreditApplication, DecisionStatus
from rotation.policy import Policy
from rotation.returns import back_for_more
from rotation.roster import union
from rotation.rules import RESERVATION_CODES
from rotation.state import Borrower, Drawdown, LedgerEntry, Made

#: The place of what no event causes: it comes before the events of the same time.
BEFORE_EVENTS = -1
#: Outcomes after which the next funder may be asked.
_TRY_NEXT = frozenset({"declined", "timed_out", "failed"})


class Said(msgspec.Struct, frozen=True):
    """A decision as it leaves: its bytes, and the stream time at which it was made or repeated (ms).

    `status` and `made` are None for a repeat, `routed_to` also for a decision that routes nowhere; `amount` is the
    drawdown's (fen). `by_time` tells that no event caused it: it fell due, or the configuration or a funder's state
    changed. Then `trace` holds the trace headers of the drawdown's request.
    """

    value: bytes
    now: int
    status: DecisionStatus | None
    made: Made | None = None
    routed_to: str | None = None
    amount: int = 0
    by_time: bool = False
    trace: list[tuple[str, bytes]] = []


class Turn(Folding):
    """One borrower at work under one policy. Use for any number of events in order."""

    def __init__(self, customer_id: str, borrower: Borrower, policy: Policy, *, silent: bool = False) -> None:
        """`silent` says nothing of what is decided, and keeps the verdicts: writing takes a fifth of the time."""
        super().__init__(customer_id, borrower)
        self.policy = policy
        self.decisions: list[Said] = []
        self.applications: list[CreditApplication] = []
        self.verdicts: list[tuple[Drawdown, DecisionStatus, Verdict]] = []
        self._silent = silent
        self._by_time = False

    def handle(
        self, event: BorrowerEvent, now: int, trace: list[tuple[str, bytes]], *, place: int = 0, quiet: bool = False
    ) -> Steps[Refusal | None]:
        """Fold one event in at stream time `now`; what fell due before it happens first.

        `trace` are the event's trace headers, `place` is its place among the events that are read with it. `quiet`
        decides nothing: replay knows from the log that nothing was said then.
        """
        if not quiet:
            yield from self.wake(now)
        self.moment = (now, place)
        if isinstance(event, DrawdownRequest):
            refusal = yield from self._request(event, now, trace)
        else:
            told = self.fold(event, now)
            refusal = told if isinstance(told, Refusal) else None
            if told is True and not quiet:
                yield from self._retry(now)
                if isinstance(event, DrawdownOutcome):
                    yield from self._try_next(event, now)
            if told is True and isinstance(event, DrawdownOutcome) and event.status == "declined":
                self._tell_alone(event)
        if refusal is None:
            advice = advise(self.customer_id, self.borrower, self.policy, now)
            if advice is not None:
                self.applications.append(advice)
            forget(self.borrower, now)
        return refusal

    def wake(self, now: int) -> Steps[None]:
        """Let happen what falls due by `now` without an event, each at its own time."""
        self._by_time = True
        while (due := self.borrower.wake_at) is not None and due <= now:
            self.moment = (due, BEFORE_EVENTS)
            for drawdown in [d for d in self._held() if d.wake_at == due]:
                yield from self._revisit(drawdown, due)
        self._by_time = False

    def reconsider(self, now: int) -> Steps[None]:
        """Configuration or funder states changed: try every held drawdown again, oldest first."""
        yield from self.wake(now)
        self._by_time = True
        self.moment = (now, BEFORE_EVENTS)
        yield from self._retry(now)
        self._by_time = False

    def revisit(self, drawdown_id: str, at: int) -> Steps[None]:
        """Look at one held drawdown again at `at`, as replay knows that the worker did."""
        self._by_time = True
        for drawdown in self._held():
            if drawdown.drawdown_id == drawdown_id:
                yield from self._revisit(drawdown, at)
        self._by_time = False

    def _retry(self, now: int) -> Steps[None]:
        for drawdown in self._held():
            yield from self._revisit(drawdown, now)

    def _revisit(self, drawdown: Drawdown, at: int) -> Steps[None]:
        if at >= drawdown.expires_at:
            self._reject(drawdown, drawdown.expires_at, "expired")
        else:
            drawdown.wake_at = self.policy.next_wake(at, drawdown.expires_at)
            drawdown.no_room = {}
            if not self._has_money(drawdown):
                yield from self._attempt(drawdown, at)

    def _has_money(self, drawdown: Drawdown) -> bool:
        """Whether an earlier attempt was disbursed after all: then no further one is made, and a held one expires."""
        return any(e.drawdown_id == drawdown.drawdown_id and e.status == "disbursed" for e in self.borrower.ledger)

    def _held(self) -> list[Drawdown]:
        return [drawdown for drawdown in self.borrower.drawdowns.values() if drawdown.status == "held"]

    def _request(self, event: DrawdownRequest, now: int, trace: list[tuple[str, bytes]]) -> Steps[Refusal | None]:
        fingerprint = _fingerprint(event)
        known = self.borrower.drawdowns.get(event.drawdown_id)
        if known is not None:
            if known.fingerprint != fingerprint:
                return Refusal("conflicting_duplicate", "drawdown_id: known with other content; the first stands")
            self.decisions.append(Said(say_again(self.customer_id, known, self.policy), now, status=None))
            return None
        borrower = self.borrower
        holding = self.policy.config.holding.seconds * 1000
        # An id that is asked for again after its decision was forgotten goes on counting: ledger and book, which
        # may remember longer, know each attempt by its number.
        tried = max((e.attempt for e in borrower.ledger if e.drawdown_id == event.drawdown_id), default=0)
        drawdown = Drawdown(
            drawdown_id=event.drawdown_id,
            fingerprint=fingerprint,
            amount=event.amount,
            term_months=event.term_months,
            region=event.region,
            risk_grade=event.risk_grade,
            age=event.age,
            expires_at=millis(event.occurred_at) + holding if event.expires_at is None else millis(event.expires_at),
            exclude_funders=event.exclude_funders or [],
            trace=trace,
            attempt=tried + 1,
            canary=event.canary or False,
        )
        borrower.drawdowns[event.drawdown_id] = drawdown
        self.for_funders += back_for_more(borrower, now)
        borrower.region, borrower.risk_grade, borrower.age = event.region, event.risk_grade, event.age
        if drawdown.expires_at <= now:
            self._reject(drawdown, now, "request_expired")
        else:
            yield from self._attempt(drawdown, now)
        return None

    def _attempt(self, drawdown: Drawdown, now: int) -> Steps[None]:
        """Route the drawdown's present attempt, or hold it (once)."""
        verdict = yield from decide(self.policy, ask_of(self.customer_id, self.borrower, drawdown, now))
        if verdict.funder_id is not None:
            self._route(drawdown, verdict, verdict.funder_id, now)
            return
        members, dropped = self.policy.roster.members, verdict.dropped
        drawdown.no_room = {code: list(members(dropped[code])) for code in RESERVATION_CODES if code in dropped}
        if drawdown.status != "held":
            drawdown.wake_at = self.policy.next_wake(now, drawdown.expires_at)
            self._decide(drawdown, "held", now, [_shared_code(self.policy, verdict)], verdict)

    def _route(self, drawdown: Drawdown, verdict: Verdict, funder_id: str, now: int) -> None:
        self.borrower.ledger.append(
            LedgerEntry(
                drawdown_id=drawdown.drawdown_id,
                attempt=drawdown.attempt,
                funder_id=funder_id,
                decided_at=now,
                due=now + self.policy.config.reservation.ttl_seconds * 1000,
                amount=drawdown.amount,
                risk_grade=drawdown.risk_grade,
            )
        )
        self.saw(funder_id, now)
        reasons = ["only_candidate" if len(verdict.candidates) == 1 else "ranked_first"]
        if verdict.relaxed:
            reasons.append("relaxed")
        self._decide(drawdown, "routed", now, reasons, verdict)

    def _reject(self, drawdown: Drawdown, now: int, reason: str) -> None:
        verdict = reject(self.policy, ask_of(self.customer_id, self.borrower, drawdown, now), drawdown.no_room)
        drawdown.no_room = {}
        self._decide(drawdown, "rejected", now, [reason], verdict)

    def _decide(
        self, drawdown: Drawdown, status: DecisionStatus, now: int, reasons: list[str], verdict: Verdict
    ) -> None:
        drawdown.status = status
        drawdown.decided_at = now
        if self._silent:
            self.verdicts.append((drawdown, status, verdict))
            return
        made = make(self.policy, verdict, reasons)
        drawdown.decision = remember(made)
        trace = drawdown.trace if self._by_time else []
        value = say(made, self.customer_id, drawdown, self.policy)
        self.decisions.append(Said(value, now, status, made, verdict.funder_id, drawdown.amount, self._by_time, trace))

    def _tell_alone(self, refused: DrawdownOutcome) -> None:
        """Tell of a refusal whether another funder was asked then: else nobody could serve the borrower."""
        ledger = self.borrower.ledger
        entry = entry_of(ledger, refused.drawdown_id, refused.attempt)
        if entry is not None and entry_of(ledger, refused.drawdown_id, refused.attempt + 1) is None:
            entry.alone = True
            self.for_funders[-1] = msgspec.structs.replace(self.for_funders[-1], alone=True)

    def _try_next(self, event: DrawdownOutcome, now: int) -> Steps[None]:
        drawdown = self.borrower.drawdowns.get(event.drawdown_id)
        if (
            event.status in _TRY_NEXT
            and drawdown is not None
            and drawdown.status == "routed"
            and drawdown.attempt == event.attempt
            and drawdown.attempt < self.policy.config.attempts.max
            and drawdown.expires_at > now
            and not self._has_money(drawdown)
        ):
            drawdown.attempt += 1
            yield from self._attempt(drawdown, now)


def _shared_code(policy: Policy, verdict: Verdict) -> str:
    """The code on which all exclusions agree, if there is one."""
    codes = list(verdict.dropped)
    everybody = union(verdict.dropped.values()) == policy.roster.everyone
    return codes[0] if everybody and len(codes) == 1 else "no_candidate"


def _fingerprint(event: DrawdownRequest) -> bytes:
    """Digest of a request's content: all its fields but `event_id` and `occurred_at`."""
    content = (
        event.amount,
        event.term_months,
        event.region,
        event.risk_grade,
        event.age,
        None if event.expires_at is None else millis(event.expires_at),
        event.exclude_funders,
        event.canary,
    )
    return blake2b(msgspec.msgpack.encode(content), digest_size=8).digest()
