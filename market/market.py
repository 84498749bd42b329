"""The market as a whole: what is published by itself, and what in answer to decisions and advice. Pure.

The same seed, size and start give the same plan, and the same answer to the same decision, in whatever order.
"""

import heapq
from collections.abc import Iterator
from random import Random

import msgspec

from config.rotation import RotationConfig
from market.borrowers import MEAN_RETURN_MS, Borrower, borrower, visits
from market.dice import Dice
from market.funders import answer_application, first_applications, outcomes, repayments
from market.mischief import bad_records
from market.publication import Publication, moment, publication
from rotation.events import CreditGrant, DrawdownOutcome, DrawdownRequest
from rotation.outputs import CreditApplication, Decision

REPEAT_AFTER_MS = 1_500
"""Sooner than the shortest time in which a borrower comes back, so that a borrower's requests are in order."""
REPEATED_REQUESTS = 0.04
CONFLICTING_REQUESTS = 0.02
REPEATED_OUTCOMES = 0.04
CONFLICTING_OUTCOMES = 0.01
TRACED = 0.2


class Market:
    """A market of borrowers who together ask for `rate` drawdowns a second, from `start` (ms).

    Borrowers are numbered from `first`.
    """

    def __init__(self, config: RotationConfig, *, seed: int, rate: float, start: int, first: int = 0) -> None:
        self._dice = Dice(seed)
        self._config = config
        self._funders = {funder.id: funder for funder in config.funders}
        self._start = start
        population = max(8, round(rate * MEAN_RETURN_MS / 1000))
        self.borrowers = [borrower(n, self._dice.of("borrower", n), start) for n in range(first, first + population)]
        self._by_id = {borrower.customer_id: borrower for borrower in self.borrowers}
        self._asked: dict[str, DrawdownRequest] = {}

    def plan(self) -> Iterator[Publication]:
        """Everything that does not answer a decision, in time order and without end."""
        streams = [stream for one in self.borrowers for stream in (self._grants(one), self._requests(one))]
        return heapq.merge(bad_records(self._start), *streams, key=lambda item: item.at)

    def answer_decision(self, decision: Decision, at: int) -> list[Publication]:
        """What the funder and the borrower do about a decision received at `at` (ms)."""
        if decision.funder_id is None:
            return []
        request, one = self._asked[decision.drawdown_id], self._by_id[decision.customer_id]
        rng = self._dice.of("outcome", decision.drawdown_id, decision.attempt, decision.funder_id)
        ttl_ms = self._config.reservation.ttl_seconds * 1000
        answers = []
        for when, outcome in outcomes(self._funders[decision.funder_id], one, request, decision, rng, at, ttl_ms):
            answers.append(publication(outcome, when))
            if outcome.status == "disbursed":
                answers += [publication(event, paid_at) for paid_at, event in repayments(outcome, one, rng, when)]
        return answers + self._spoilt_outcome(outcome, when, rng)

    def answer_advice(self, application: CreditApplication, at: int) -> list[Publication]:
        """The borrower follows the advice received at `at` (ms), and the funder answers."""
        rng = self._dice.of("application", application.application_id)
        when = at + rng.randrange(400, 3_000)
        event_id = f"{application.application_id[:50]}-answer"
        one, funder = self._by_id[application.customer_id], self._funders[application.funder_id]
        return [publication(answer_application(funder, one, event_id, rng, when), when)]

    def _grants(self, one: Borrower) -> Iterator[Publication]:
        rng = self._dice.of("grants", one.customer_id)
        answers = []
        for funder in first_applications(self._config.funders, one, rng):
            late = rng.random() < 0.15
            shift = rng.randrange(500, 8_000) if late else -rng.randrange(200, 1_500)
            at = max(self._start, one.first_visit + shift)
            event_id = f"{one.customer_id}-{funder.id}-answer"
            answer = answer_application(funder, one, event_id, rng, at)
            answers += [publication(answer, at), *self._afterwards(answer, at, rng)]
        return iter(sorted(answers, key=lambda item: item.at))

    def _afterwards(self, answer: CreditGrant, at: int, rng: Random) -> list[Publication]:
        """An answer that comes twice, one that was given before but comes after, or the end of a line."""
        roll, later = rng.random(), at + rng.randrange(8_000, 40_000)
        if roll < 0.05:
            return [publication(answer, at + REPEAT_AFTER_MS)]
        if roll < 0.1:
            return [publication(_without_line(answer, "declined", at - 60_000), at + REPEAT_AFTER_MS)]
        if roll < 0.2 and answer.status == "approved":
            status = "revoked" if roll < 0.15 else "expired"
            return [publication(_without_line(answer, status, later), later)]
        return []

    def _requests(self, one: Borrower) -> Iterator[Publication]:
        rng = self._dice.of("requests", one.customer_id)
        for at, request in visits(one, self._dice.of("visits", one.customer_id)):
            self._asked[request.drawdown_id] = request
            trace = (("traceparent", f"00-{rng.getrandbits(128):032x}-{rng.getrandbits(64):016x}-01".encode()),)
            yield publication(request, at, headers=trace if rng.random() < TRACED else ())
            again = at + REPEAT_AFTER_MS
            repeat = msgspec.structs.replace(request, event_id=f"{request.event_id}-again", occurred_at=moment(again))
            roll = rng.random()
            if roll < REPEATED_REQUESTS:
                yield publication(repeat, again)
            elif roll < REPEATED_REQUESTS + CONFLICTING_REQUESTS:
                other = msgspec.structs.replace(repeat, amount=request.amount + 10_000)
                yield publication(other, again, reason="conflicting_duplicate")

    def _spoilt_outcome(self, outcome: DrawdownOutcome, at: int, rng: Random) -> list[Publication]:
        """The last outcome once more, or another that contradicts it."""
        roll, again = rng.random(), at + REPEAT_AFTER_MS
        if roll < REPEATED_OUTCOMES:
            return [publication(outcome, again)]
        if roll < REPEATED_OUTCOMES + CONFLICTING_OUTCOMES:
            status = "cancelled" if outcome.status != "cancelled" else "declined"
            other = msgspec.structs.replace(outcome, event_id=f"{outcome.event_id}-no", status=status, amount=None)
            return [publication(other, again, reason="conflicting_duplicate")]
        return []


def _without_line(answer: CreditGrant, status: str, at: int) -> CreditGrant:
    fields = {"status": status, "credit_limit": None, "apr_bp": None, "expires_at": None}
    return msgspec.structs.replace(answer, event_id=f"{answer.event_id}-{status}", occurred_at=moment(at), **fields)
