"""The policies that a study compares. All obey the hard rules; they differ in whom they prefer, and what they know."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from capture.pass_rates import count, pass_rates
from capture.record import FunderRecord
from config.rotation import RotationConfig
from market.study.funders import StrategicFunder
from market.study.population import START, Person
from rotation.clock import DAY, rfc3339
from rotation.events import CaptureSignal
from rotation.outputs import FunderOutcome, FunderState
from rotation.state import Borrower


class Alert(Protocol):
    """An alert of a defence, as far as the market looks at it."""

    @property
    def funder_id(self) -> str:
        """Whom it accuses."""
        ...


class Defence(Protocol):
    """What watches the funders. Times are ms of stream time."""

    def observe(self, event: object, now: int) -> None:
        """See one thing that a turn tells of a funder (an entry of `Turn.outcomes`)."""
        ...

    def signal(self, signal: CaptureSignal, now: int) -> None:
        """See direct evidence."""
        ...

    def review(self, now: int) -> tuple[Sequence[FunderState], Sequence[Alert]]:
        """Called at each Shanghai midnight: states that take the place of those known, and new alerts."""
        ...


class PassRates:
    """A defence that accuses nobody: it only keeps the pass rates, as every policy may see them."""

    def __init__(self, config: RotationConfig) -> None:
        self._config = config
        self._records = {funder.id: FunderRecord() for funder in config.funders}
        self._seen = 0

    def observe(self, event: object, now: int) -> None:
        """Count an outcome."""
        if isinstance(event, FunderOutcome):
            self._seen += 1
            count(self._records[event.funder_id], event, (0, self._seen))

    def signal(self, signal: CaptureSignal, now: int) -> None:
        """Direct evidence changes no pass rate."""

    def review(self, now: int) -> tuple[Sequence[FunderState], Sequence[Alert]]:
        """Every funder is normal, with the rates of the configured window."""
        days = self._config.pass_rate_window_days
        return [
            FunderState(
                funder_id=funder.id,
                pass_rates=pass_rates(self._records[funder.id], funder, days, now),
                state="normal",
                traffic_multiplier=1.0,
                since=rfc3339(START),
                cause="pass rates",
                version=now // DAY,
            )
            for funder in self._config.funders
        ], []


class Choice(NamedTuple):
    """A drawdown to place at `at` (ms): funders that pass every rule, in drawn order, with what a policy may know."""

    candidates: Sequence[str]
    at: int
    person: Person
    record: Borrower
    rates: Mapping[str, float]
    funders: Mapping[str, StrategicFunder]


class Strategy(NamedTuple):
    """A policy. `prefers` orders the candidates (None: as drawn by weight); `rotates` keeps the rotation rules on.

    `avoids(funder, person, at)` is for those that are told the truth. `defence` makes what watches the funders.
    """

    name: str
    summary: str
    rotates: bool = False
    prefers: Callable[[Choice], Sequence[str]] | None = None
    avoids: Callable[[StrategicFunder, Person, int], bool] | None = None
    defence: Callable[[RotationConfig], Defence] = PassRates


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
        Strategy("told", "is told 30 days after a funder begins to capture", avoids=_was_told),
        Strategy("truth", "always knew who captures whom", avoids=_knows),
    )
}
