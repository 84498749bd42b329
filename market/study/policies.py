"""The policies that a study compares. All obey the hard rules; they differ in whom they prefer, and what they know."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import msgspec

from capture.cohorts import period
from capture.ladder import pause_allowed
from capture.learn import hear, learn
from capture.pacing import price
from capture.pass_rates import pass_rates
from capture.peers import others, peer
from capture.record import FunderRecord
from capture.review import review
from config.rotation import RotationConfig
from market.study.funders import StrategicFunder
from market.study.population import START, Person
from rotation.clock import DAY, rfc3339
from rotation.events import CaptureSignal
from rotation.outputs import CaptureAlert, FunderEvent, FunderState
from rotation.state import Borrower


class Defence(Protocol):
    """What watches the funders. Times are ms of stream time."""

    def observe(self, event: FunderEvent, now: int) -> None:
        """See one thing that a turn tells of a funder."""
        ...

    def signal(self, signal: CaptureSignal, now: int) -> None:
        """See direct evidence."""
        ...

    def review(self, now: int) -> tuple[Sequence[FunderState], Sequence[CaptureAlert]]:
        """Called at each Shanghai midnight: states that take the place of those known, and new alerts."""
        ...

    def pace(self, now: int) -> Sequence[FunderState]:
        """Called through the day where quotas are paced: the states of funders whose price changed."""
        ...


class Watching:
    """The detectors and the response ladder of `capture/`, or, when it `accuses` nobody, the pass rates alone."""

    def __init__(self, config: RotationConfig, *, accuses: bool = True) -> None:
        self._config = config
        self._accuses = accuses
        self._records = {funder.id: FunderRecord() for funder in config.funders}
        self._funders = {funder.id: funder for funder in config.funders}
        self._seen = 0

    def observe(self, event: FunderEvent, now: int) -> None:
        """Learn from it."""
        self._seen += 1
        record, funder = self._records[event.funder_id], self._funders[event.funder_id]
        learn(record, event, (0, self._seen), funder, self._config.capture)

    def signal(self, signal: CaptureSignal, now: int) -> None:
        """Hear it."""
        hear(self._records[signal.funder_id], signal, now)

    def review(self, now: int) -> tuple[Sequence[FunderState], Sequence[CaptureAlert]]:
        """Every funder's rates of the configured window and, when it accuses, its step on the ladder and its risk."""
        rules = self._config.capture
        # Funders are compared once a period; telling the others of each takes longer than all else here.
        due = self._accuses and any(record.judged < period(now) for record in self._records.values())
        peers = {funder_id: peer(record, rules, now) for funder_id, record in self._records.items() if due}
        states: list[FunderState] = []
        alerts: list[CaptureAlert] = []
        for funder_id, record in self._records.items():
            funder = self._funders[funder_id]
            rates = pass_rates(record, funder, self._config.pass_rate_window_days, now)
            state = FunderState(funder_id, rates, "normal", 1.0, rfc3339(START), "pass rates", now // DAY)
            if self._accuses:
                compared = others(peers, funder_id, rules)
                allowed = pause_allowed(funder_id, self._config, self._standings())
                found = review(record, compared, funder, rules, None, now, may_pause=allowed)
                state = msgspec.structs.replace(
                    found.state, pass_rates=rates, version=now // DAY, capture_risk=record.risk
                )
                alerts += found.alerts
            record.state = msgspec.structs.replace(state, price=self._price(funder_id, now))
            states.append(record.state)
        return states, alerts

    def pace(self, now: int) -> Sequence[FunderState]:
        """New prices, of funders that have a state."""
        changed: list[FunderState] = []
        for funder_id, record in self._records.items():
            worth = self._price(funder_id, now)
            if record.state is not None and worth != record.state.price:
                record.state = msgspec.structs.replace(record.state, price=worth)
                changed.append(record.state)
        return changed

    def _price(self, funder_id: str, now: int) -> float:
        pacing = self._config.selection.pacing
        return 0.0 if pacing is None else price(self._records[funder_id], self._funders[funder_id], pacing, now)

    def _standings(self) -> dict[str, FunderState]:
        return {funder_id: record.state for funder_id, record in self._records.items() if record.state is not None}


class Choice(NamedTuple):
    """A drawdown to place at `at` (ms): funders that pass every rule, in drawn order, with what a policy may know."""

    candidates: Sequence[str]
    at: int
    person: Person
    record: Borrower
    rates: Mapping[str, float]
    funders: Mapping[str, StrategicFunder]


_BLIND = partial(Watching, accuses=False)


class Strategy(NamedTuple):
    """A policy. `prefers` orders the candidates (None: as drawn by weight); `rotates` keeps the rotation rules on.

    `avoids(funder, person, at)` is for those that are told the truth. `defence` makes what watches the funders.
    """

    name: str
    summary: str
    rotates: bool = False
    prefers: Callable[[Choice], Sequence[str]] | None = None
    avoids: Callable[[StrategicFunder, Person, int], bool] | None = None
    defence: Callable[[RotationConfig], Defence] = _BLIND

    @property
    def accuses(self) -> bool:
        """Whether it looks for funders who capture at all."""
        return self.defence is not _BLIND


def _stay(choice: Choice) -> Sequence[str]:
    home = next((e.funder_id for e in reversed(choice.record.ledger) if e.status == "disbursed"), None)
    return sorted(choice.candidates, key=lambda funder_id: funder_id != home)


def _best_rate(choice: Choice) -> Sequence[str]:
    return sorted(choice.candidates, key=lambda funder_id: -choice.rates[funder_id])


def _best_fee(choice: Choice) -> Sequence[str]:
    funders = choice.funders
    return sorted(choice.candidates, key=lambda each: -choice.rates[each] * funders[each].funder.fee_bp)


def _in_turn(choice: Choice) -> Sequence[str]:
    last = {entry.funder_id: place for place, entry in enumerate(choice.record.ledger)}
    order = list(choice.funders)
    first = choice.person.number % len(order)
    return sorted(choice.candidates, key=lambda each: (last.get(each, -1), (order.index(each) - first) % len(order)))


def _knows(funder: StrategicFunder, person: Person, at: int) -> bool:
    return funder.wants(person)


def _was_told(funder: StrategicFunder, person: Person, at: int) -> bool:
    return funder.wants(person) and at >= START + (funder.conduct.from_day + 30) * DAY


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("lock_in", "each borrower stays with the funder of their last loan", prefers=_stay),
        Strategy("best_pass_rate", "always the funder that lends most often", prefers=_best_rate),
        Strategy("weighted_random", "by weight and pass rate, without rotation rules"),
        Strategy("round_robin", "each borrower's funders in turn", prefers=_in_turn),
        Strategy("fees_only", "the highest expected fee, blind to capture", prefers=_best_fee),
        Strategy("rotation", "the core's rotation rules, all funders normal", rotates=True),
        Strategy("router", "all of it: rotation rules, detectors, ladder, steering", rotates=True, defence=Watching),
        Strategy("told", "is told 30 days after a funder begins to capture", avoids=_was_told),
        Strategy("truth", "always knew who captures whom", avoids=_knows),
    )
}
