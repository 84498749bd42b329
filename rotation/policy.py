"""A configuration revision and the funders' states, compiled for quick decisions.

Built once for each pair of (revision, funder states); a decision names both, so that replay can build it again.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import TypeVar

import msgspec

from config.rotation import CaptureRisk, Funder, Revision
from rotation.choice import Stake, stakes
from rotation.clock import minutes_open, next_minute_of_day, shanghai_minute
from rotation.events import millis
from rotation.outputs import FunderState
from rotation.reservations import FunderLimits
from rotation.roster import Funders, Roster

K = TypeVar("K")
#: How many distinct values (ages, amounts, ...) are remembered; publishers choose some of them.
_MOST_VALUES = 10_000
#: States on the ladder in which a funder is not held to capture (yet).
_FREE = frozenset({"normal", "watch"})


class FunderPolicy(msgspec.Struct, frozen=True):
    """One funder as the rules see it. Amounts in fen, ages in years, hours in minutes of the Shanghai day.

    It is `risky` for these grades, `held` to capture by the ladder or a person.
    """

    funder_id: str
    regions: frozenset[str] | None
    grades: frozenset[str]
    age: tuple[int, int]
    amount: tuple[int, int]
    terms: frozenset[int]
    opens: int
    closes: int
    paused: bool
    risky: frozenset[str]
    held: bool

    def is_open(self, minute: int) -> bool:
        """Whether the funder takes drawdowns in this minute of the Shanghai day; hours may cross midnight."""
        if self.opens < self.closes:
            return self.opens <= minute < self.closes
        return minute >= self.opens or minute < self.closes


class Refusing(dict[K, Funders]):
    """The funders that refuse a property of the drawdown, for each of its values; worked out when first asked for."""

    def __init__(self, funders: Iterable[FunderPolicy], refuses: Callable[[FunderPolicy, K], bool]) -> None:
        super().__init__()
        self._funders = tuple(funders)
        self._refuses = refuses

    def __missing__(self, value: K) -> Funders:
        refusing = sum(1 << n for n, funder in enumerate(self._funders) if self._refuses(funder, value))
        if len(self) < _MOST_VALUES:
            self[value] = refusing
        return refusing


class Policy:
    """Everything that a decision takes from configuration and funder states; `limits` is for the reservation book.

    `known` are the revisions under which earlier decisions were made, by their ids.
    """

    def __init__(
        self,
        revision: Revision,
        states: Mapping[str, FunderState],
        states_version: int,
        known: Mapping[int, Revision] | None = None,
    ) -> None:
        config = revision.config
        self.revision = revision
        self.config = config
        self.states_version = states_version
        self.known: dict[int, Revision] = {**(known or {}), revision.id: revision}
        self.relax_order: tuple[str, ...] = tuple(config.rotation.relax_order)
        risk = config.rotation.capture_risk
        self.funders = funders = tuple(_compile(funder, states.get(funder.id), risk) for funder in config.funders)
        self.roster = Roster([funder.funder_id for funder in funders])
        self.funder_ids = self.roster.funder_ids
        self.paused = self.roster.set_of([funder.funder_id for funder in funders if funder.paused])
        self.unlicensed = Refusing[str](funders, lambda f, region: f.regions is not None and region not in f.regions)
        self.against_grade = Refusing[str](funders, lambda f, grade: grade not in f.grades)
        self.against_age = Refusing[int](funders, lambda f, age: not f.age[0] <= age <= f.age[1])
        self.against_amount = Refusing[int](funders, lambda f, amount: not f.amount[0] <= amount <= f.amount[1])
        self.without_term = Refusing[int](funders, lambda f, term: term not in f.terms)
        self.risky = Refusing[str | None](funders, lambda f, grade: grade in f.risky)
        self.suspected = Refusing[str](funders, lambda f, grade: grade in f.risky and not f.held)
        self.closed = Refusing[int](funders, lambda f, minute: not f.is_open(minute))
        self.limits: dict[str, FunderLimits] = {funder.id: _limits(funder) for funder in config.funders}
        self._states = states
        self._weights: dict[str, dict[str, float]] = {}
        self._stakes: dict[tuple[str, Funders], tuple[Stake, ...]] = {}
        self._rosters = {revision.id: self.roster}
        self._wakes = sorted({0, *(funder.opens for funder in funders)})

    def roster_of(self, revision: Revision) -> Roster:
        """The funders of a revision."""
        if revision.id not in self._rosters:
            self._rosters[revision.id] = Roster([funder.id for funder in revision.config.funders])
        return self._rosters[revision.id]

    def weights(self, risk_grade: str) -> dict[str, float]:
        """Each configured funder's weight for a grade, exploration mixed in; they sum to 1.

        (1−ε)·w/Σw + ε/n with w = configured weight x ladder multiplier x pass rate^exponent x e^−price.
        """
        known = self._weights.get(risk_grade)
        if known is None:
            known = self._weights[risk_grade] = self._mix(risk_grade)
        return known

    def stakes(self, risk_grade: str, among: Funders) -> tuple[Stake, ...]:
        """The parts of these funders in a draw, for a borrower of that grade."""
        known = self._stakes.get((risk_grade, among))
        if known is None:
            known = stakes(self.roster.members(among), self.weights(risk_grade))
            if len(self._stakes) < _MOST_VALUES:
                self._stakes[risk_grade, among] = known
        return known

    def explores(self, drawdown_id: str) -> bool:
        """Whether this drawdown is of those for which funders that are merely suspected pass."""
        risk = self.config.rotation.capture_risk
        if risk is None or risk.explored == 0:
            return False
        digest = blake2b(f"{self.config.selection.seed}\0{drawdown_id}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < risk.explored * 2**64

    def _mix(self, risk_grade: str) -> dict[str, float]:
        selection = self.config.selection
        raw: dict[str, float] = {}
        for funder in self.config.funders:
            state = self._states.get(funder.id)
            multiplier = 1.0 if state is None else state.traffic_multiplier
            rate = funder.pass_rate_prior.rate if state is None else _pass_rate(state, funder, risk_grade)
            raw[funder.id] = funder.weight * multiplier * rate**selection.pass_rate_exponent
            if selection.pacing is not None and state is not None:
                raw[funder.id] *= math.exp(-state.price)
        total = math.fsum(raw.values())
        explored = selection.exploration / len(raw)
        exploited = (1 - selection.exploration) / total if total > 0 else 0.0
        return {funder_id: exploited * weight + explored for funder_id, weight in raw.items()}

    def next_wake(self, now: int, expires_at: int) -> int:
        """When a drawdown held at `now` falls due without an event: opening time, new Shanghai day, or expiry."""
        minute = shanghai_minute(now)
        following = next((wake for wake in self._wakes if wake > minute), self._wakes[0])
        return min(expires_at, next_minute_of_day(now, following))


def _pass_rate(state: FunderState, funder: Funder, risk_grade: str) -> float:
    return state.pass_rates.get(risk_grade, funder.pass_rate_prior.rate)


def _compile(funder: Funder, state: FunderState | None, risk: CaptureRisk | None) -> FunderPolicy:
    opens, closes = minutes_open(funder.open)
    return FunderPolicy(
        funder_id=funder.id,
        regions=None if funder.regions == "all" else frozenset(funder.regions),
        grades=frozenset(funder.grades),
        age=funder.age,
        amount=funder.amount,
        terms=frozenset(funder.terms),
        opens=opens,
        closes=closes,
        paused=funder.status == "paused" or (state is not None and state.stopped),
        risky=frozenset(
            grade
            for grade, share in (state.capture_risk.items() if state is not None else ())
            if risk is not None and share > risk.at_most
        ),
        held=state is not None and state.state not in _FREE,
    )


def _limits(funder: Funder) -> FunderLimits:
    quota, guarantee = funder.quota, funder.guarantee
    if guarantee is None or not guarantee.enhanced:
        return FunderLimits(daily_amount=quota.daily_amount, daily_count=quota.daily_count)
    return FunderLimits(
        daily_amount=quota.daily_amount,
        daily_count=quota.daily_count,
        enhanced=True,
        balance=guarantee.balance,
        guaranteed=guarantee.guaranteed,
        cap=guarantee.cap,
        guarantee_since=millis(datetime.fromisoformat(guarantee.as_of)),
    )
