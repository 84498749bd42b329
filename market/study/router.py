"""Who decides in a study: the core in this process, or a service that does the same (`market.study.served`)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from config.rotation import Revision
from market.study.funders import StrategicFunder
from market.study.policies import Choice, Defence, Strategy
from market.study.population import Person
from rotation.book import MemoryBook
from rotation.decide import Steps, run_to_end
from rotation.events import BorrowerEvent, CaptureSignal
from rotation.fold import Refusal
from rotation.outputs import CaptureAlert, DecisionStatus, FunderState
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved
from rotation.state import Borrower
from rotation.turn import Turn


class Decided(NamedTuple):
    """A decision made at `at` (ms), and who of the funders was paused by the ladder then."""

    drawdown_id: str
    attempt: int
    status: DecisionStatus
    funder_id: str | None
    at: int
    paused: frozenset[str]


class Answer(NamedTuple):
    """What was said of one borrower: decisions, and funders where they should apply for a line.

    `due` is when (ms) the router is to be woken for what it holds of theirs, None when it wakes by itself or holds
    nothing. `refused` tells that the event could not be used.
    """

    customer_id: str
    decided: Sequence[Decided] = ()
    advised: Sequence[str] = ()
    due: int | None = None
    refused: bool = False


class Review(NamedTuple):
    """What is new of the funders, and what came of it for borrowers whose drawdowns were held."""

    states: Sequence[FunderState] = ()
    alerts: Sequence[CaptureAlert] = ()
    answers: Sequence[Answer] = ()


class Router(Protocol):
    """Decides for a market. Times are ms of stream time, and never go back."""

    def tell(self, person: Person, event: BorrowerEvent, at: int) -> Sequence[Answer]:
        """Hear of a borrower."""
        ...

    def wake(self, person: Person, at: int) -> Sequence[Answer]:
        """It is the time that an answer about the borrower named as due."""
        ...

    def signal(self, signal: CaptureSignal, at: int) -> None:
        """Hear direct evidence against a funder."""
        ...

    def review(self, at: int) -> Review:
        """A Shanghai day has ended."""
        ...

    def pace(self, at: int) -> Review:
        """Called through the day where quotas are paced."""
        ...


class CoreRouter:
    """The core's own turns under a strategy, against a reservation book in memory."""

    def __init__(self, revision: Revision, strategy: Strategy, funders: Mapping[str, StrategicFunder]) -> None:
        """`funders` are asked for the truth by a strategy that is told it."""
        self._revision, self._strategy, self._funders = revision, strategy, funders
        self._defence: Defence = strategy.defence(revision.config)
        self._records: dict[int, Borrower] = {}
        self._held: dict[int, Person] = {}
        self._states: dict[str, FunderState] = {}
        self._policy = Policy(revision, self._states, -1)
        self._paused: frozenset[str] = frozenset()
        self._book = MemoryBook(self._policy.limits)

    def tell(self, person: Person, event: BorrowerEvent, at: int) -> Sequence[Answer]:
        """Take the borrower's turn."""
        turn = self._turn(person)
        refused = self._work(person, turn, turn.handle(event, at, []))
        return [self._answer(person, turn, at, refused=isinstance(refused, Refusal))]

    def wake(self, person: Person, at: int) -> Sequence[Answer]:
        """Let happen what is due."""
        turn = self._turn(person)
        self._work(person, turn, turn.wake(at))
        return [self._answer(person, turn, at)]

    def signal(self, signal: CaptureSignal, at: int) -> None:
        """Tell the defence."""
        self._defence.signal(signal, at)

    def review(self, at: int) -> Review:
        """Judge the funders."""
        states, alerts = self._defence.review(at)
        return Review(states, alerts, self._adopt(at, states))

    def pace(self, at: int) -> Review:
        """Look at the quotas."""
        states = self._defence.pace(at)
        return Review(states, (), self._adopt(at, states))

    def _adopt(self, at: int, states: Sequence[FunderState]) -> list[Answer]:
        """Decide by new states from now on, and try what is held again."""
        if not states:
            return []
        self._states.update({state.funder_id: state for state in states})
        self._policy = Policy(self._revision, dict(self._states), self._policy.states_version + 1)
        self._paused = paused(self._states.values())
        answers = []
        for _, person in sorted(self._held.items()):
            turn = self._turn(person)
            self._work(person, turn, turn.reconsider(at))
            answers.append(self._answer(person, turn, at))
        return answers

    def _turn(self, person: Person) -> Turn:
        record = self._records.setdefault(person.number, Borrower())
        return Turn(person.customer_id, record, self._policy, silent=True)

    def _work(self, person: Person, turn: Turn, steps: Steps[Any]) -> object:
        """Run a turn's steps against the book, in the order of preference of the strategy; its result."""

        def reserve(asked: Reserve) -> Reserved:
            operations = [*turn.take_operations(), self._preferred(person, turn.borrower, asked)]
            answer = self._book.apply(operations)[-1]
            assert answer is not None
            return answer

        result: object = run_to_end(steps, reserve)
        self._book.apply(turn.take_operations())
        return result

    def _preferred(self, person: Person, record: Borrower, asked: Reserve) -> Reserve:
        candidates: Iterable[str] = asked.candidates
        strategy = self._strategy
        if strategy.prefers is None and strategy.avoids is None:
            return asked
        if strategy.prefers is not None:
            rates = {
                funder_id: funder.funder.pass_rate_prior.rate
                if (state := self._states.get(funder_id)) is None
                else state.pass_rates.get(person.grade, 0.0)
                for funder_id, funder in self._funders.items()
            }
            candidates = strategy.prefers(Choice(asked.candidates, asked.now, person, record, rates, self._funders))
        avoids = strategy.avoids
        if avoids is not None:
            candidates = sorted(candidates, key=lambda each: avoids(self._funders[each], person, asked.now))
        return msgspec.structs.replace(asked, candidates=tuple(candidates))

    def _answer(self, person: Person, turn: Turn, at: int, *, refused: bool = False) -> Answer:
        for event in turn.for_funders:
            self._defence.observe(event, at)
        decided = [
            Decided(each.drawdown_id, each.attempt, status, verdict.funder_id, each.decided_at, self._paused)
            for each, status, verdict in turn.verdicts
        ]
        due = turn.borrower.wake_at
        if due is None:
            self._held.pop(person.number, None)
        else:
            self._held[person.number] = person
        advised = [application.funder_id for application in turn.applications]
        return Answer(person.customer_id, decided, advised, due, refused)


def paused(states: Iterable[FunderState]) -> frozenset[str]:
    """The funders that the ladder gives nothing."""
    return frozenset(state.funder_id for state in states if state.stopped)
