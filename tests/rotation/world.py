"""A small world for the decision core: the shipped configuration with edits, events as plain data, a book in memory.

Times are ms since the epoch, money is fen.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from config.rotation import Revision, RotationConfig
from rotation.book import MemoryBook
from rotation.clock import DAY, MINUTE
from rotation.decide import Steps
from rotation.events import BorrowerEvent, CreditGrant, DrawdownOutcome, DrawdownRequest, Repayment, millis
from rotation.fold import Refusal
from rotation.outputs import CreditApplication, Decision, FunderEvent, FunderState
from rotation.policy import Policy
from rotation.reservations import Operation, Reserve, Reserved
from rotation.state import Borrower
from rotation.turn import Said, Turn

SHIPPED = Path(__file__).parents[2] / "config" / "rotation.yaml"
#: 14:00 on 1 November 2026 in Shanghai: everybody of the shipped configuration is open.
T0 = 1_793_512_800_000
SECOND = 1000
HOUR = 60 * MINUTE
FUNDERS = ("bank-east", "cf-north", "cf-west", "trust-south")
CUSTOMER = "cust-1"
#: Every rotation rule off, no advice.
NO_ROTATION: dict[str, Any] = {
    "rotation.never_last": None,
    "rotation.max_share": None,
    "rotation.cooldown": None,
    "rotation.exposure_budget": None,
    "rotation.relax_order": [],
    "rotation.min_live_grants": 0,
}
#: Nobody ever closes.
ALWAYS_OPEN: dict[str, Any] = {"funders.*.open": "00:00-24:00"}
_YAML = yaml.safe_load(SHIPPED.read_text())
_decision = msgspec.json.Decoder(Decision)


def configuration(edits: Mapping[str, Any] | None = None) -> RotationConfig:
    """The shipped configuration with edits by dotted path; a funder goes by its id, `funders.*` means each."""
    document = deepcopy(_YAML)
    for path, value in (edits or {}).items():
        *parents, last = path.split(".")
        for section in _sections(document, parents):
            section[last] = deepcopy(value)
    return msgspec.convert(document, RotationConfig)


def _sections(document: dict[str, Any], parents: list[str]) -> list[dict[str, Any]]:
    if parents and parents[0] == "funders":
        funders = [funder for funder in document["funders"] if parents[1] in ("*", funder["id"])]
        return [_inner(funder, parents[2:]) for funder in funders]
    return [_inner(document, parents)]


def _inner(section: dict[str, Any], names: list[str]) -> dict[str, Any]:
    for name in names:
        section = section[name]
    return section


def policy(
    edits: Mapping[str, Any] | None = None, states: Mapping[str, FunderState] | None = None, version: int = -1
) -> Policy:
    """The policy of `configuration(edits)` as revision 7."""
    return Policy(Revision(id=7, sha256="abc", config=configuration(edits), canonical=b""), states or {}, version)


def funder_state(funder_id: str, state: str = "normal", multiplier: float = 1.0, **rates: float) -> FunderState:
    """A record of `funder-states`; `rates` are pass rates by grade."""
    document = {"funder_id": funder_id, "pass_rates": rates, "state": state, "traffic_multiplier": multiplier}
    return msgspec.convert({**document, "since": "", "cause": "", "version": 1}, FunderState)


def time(at: int) -> datetime:
    """`at` (ms) as the events carry it."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)


def moment(text: str) -> int:
    """A time of a decision in ms."""
    return millis(datetime.fromisoformat(text))


def grant(
    funder_id: str,
    at: int = T0,
    *,
    status: str = "approved",
    limit: int = 3_000_000,
    apr: int = 1800,
    expires: int = T0 + 3650 * DAY,
    event_id: str = "",
    customer_id: str = CUSTOMER,
    **more: Any,
) -> CreditGrant:
    """A funder's answer; the event's id tells it apart by funder, time and status."""
    document = {"event_id": event_id or f"g-{funder_id}-{at}-{status}", "occurred_at": time(at), "status": status}
    if status == "approved":
        document |= {"credit_limit": limit, "apr_bp": apr, "expires_at": time(expires)}
    return msgspec.convert({**document, "customer_id": customer_id, "funder_id": funder_id, **more}, CreditGrant)


def request(
    drawdown_id: str,
    at: int = T0,
    *,
    amount: int = 600_000,
    expires: int | None = None,
    customer_id: str = CUSTOMER,
    **more: Any,
) -> DrawdownRequest:
    """A drawdown that every shipped funder would take."""
    document = {"event_id": f"r-{drawdown_id}", "occurred_at": time(at), "drawdown_id": drawdown_id, "amount": amount}
    document |= {"customer_id": customer_id, "term_months": 12, "region": "310000", "risk_grade": "A", "age": 34}
    if expires is not None:
        document["expires_at"] = time(expires)
    return msgspec.convert({**document, **more}, DrawdownRequest)


def outcome(
    drawdown_id: str,
    funder_id: str,
    status: str,
    at: int = T0,
    *,
    attempt: int = 1,
    amount: int = 600_000,
    event_id: str = "",
    customer_id: str = CUSTOMER,
) -> DrawdownOutcome:
    """What became of an attempt."""
    document = {"event_id": event_id or f"o-{drawdown_id}-{attempt}-{status}", "occurred_at": time(at)}
    document |= {"drawdown_id": drawdown_id, "customer_id": customer_id, "funder_id": funder_id, "status": status}
    if status == "disbursed":
        document["amount"] = amount
    return msgspec.convert({**document, "attempt": attempt}, DrawdownOutcome)


def repayment(
    drawdown_id: str,
    funder_id: str,
    outstanding: int,
    at: int = T0,
    *,
    kind: str = "instalment",
    customer_id: str = CUSTOMER,
) -> Repayment:
    """Principal was repaid, and `outstanding` is left."""
    document = {"event_id": f"p-{drawdown_id}-{outstanding}", "occurred_at": time(at), "kind": kind}
    document |= {"drawdown_id": drawdown_id, "customer_id": customer_id, "funder_id": funder_id}
    return msgspec.convert({**document, "principal": 1, "outstanding": outstanding}, Repayment)


class Heard(msgspec.Struct):
    """What one call made the core say."""

    refusal: Refusal | None
    said: list[Said]
    applications: list[CreditApplication]
    for_funders: list[FunderEvent]
    operations: list[Operation]

    @property
    def values(self) -> list[bytes]:
        """The decisions' bytes."""
        return [said.value for said in self.said]

    @property
    def decisions(self) -> list[Decision]:
        """The decisions, decoded."""
        return [_decision.decode(said.value) for said in self.said]

    @property
    def decision(self) -> Decision:
        """The only decision."""
        (only,) = self.decisions
        return only


class World:
    """Borrowers, one policy at a time, one book. `remember` is done to a borrower's record after every event."""

    def __init__(
        self,
        edits: Mapping[str, Any] | None = None,
        *,
        states: Mapping[str, FunderState] | None = None,
        remember: Callable[[Borrower], Borrower] = lambda borrower: borrower,
    ) -> None:
        self.policy = policy(edits, states)
        self.book = MemoryBook(self.policy.limits)
        self.borrowers: dict[str, Borrower] = {}
        self._remember = remember

    def handle(self, event: BorrowerEvent, now: int | None = None, trace: tuple[tuple[str, bytes], ...] = ()) -> Heard:
        """Fold one event in, at its own time unless `now` is given."""
        at = millis(event.occurred_at) if now is None else now
        return self._take(event.customer_id, lambda turn: turn.handle(event, at, list(trace)))

    def route(self, event: DrawdownRequest) -> Decision:
        """The only decision on a request."""
        return self.handle(event).decision

    def grant_all(self, *, at: int = T0, but: tuple[str, ...] = (), customer_id: str = CUSTOMER) -> None:
        """A live grant at each configured funder."""
        for funder_id in self.policy.funder_ids:
            if funder_id not in but:
                self.handle(grant(funder_id, at, customer_id=customer_id))

    def wake(self, now: int, customer_id: str = CUSTOMER) -> Heard:
        """Let time alone pass."""
        return self._take(customer_id, lambda turn: turn.wake(now))

    def configure(
        self,
        edits: Mapping[str, Any],
        now: int,
        *,
        states: Mapping[str, FunderState] | None = None,
        customer_id: str = CUSTOMER,
    ) -> Heard:
        """Another revision, or other funder states, come into force."""
        self.policy = policy(edits, states)
        self.book.limits = self.policy.limits
        return self._take(customer_id, lambda turn: turn.reconsider(now))

    def borrower(self, customer_id: str = CUSTOMER) -> Borrower:
        """The record as it stands."""
        return self.borrowers.get(customer_id, Borrower())

    def free_limit(self, funder_id: str, now: int) -> int:
        """What is left of the only borrower's line at a funder: the most that it would be asked for."""
        others = [other for other in FUNDERS if other != funder_id]
        trial = World(NO_ROTATION | ALWAYS_OPEN | {"funders.*.amount": [1, 1_000_000_000]})
        low, high = 0, 1_000_000_000
        while low < high:
            amount = (low + high + 1) // 2
            trial.borrowers[CUSTOMER] = deepcopy(self.borrower())
            asked = request("probe", now, amount=amount, exclude_funders=others)
            if trial.handle(asked).decisions[-1].funder_id == funder_id:
                low = amount
            else:
                high = amount - 1
            trial.book = MemoryBook(trial.policy.limits)
        return low

    def _take(self, customer_id: str, start: Callable[[Turn], Steps[Refusal | None] | Steps[None]]) -> Heard:
        turn = Turn(customer_id, self.borrower(customer_id), self.policy)
        refusal, operations = drive(turn, start(turn), self.book)
        self.borrowers[customer_id] = self._remember(turn.borrower)
        return Heard(refusal, turn.decisions, turn.applications, turn.for_funders, operations)


def drive(
    turn: Turn, steps: Steps[Refusal | None] | Steps[None], book: MemoryBook
) -> tuple[Refusal | None, list[Operation]]:
    """Run steps to their end against `book`; what they came to, and every operation that they needed."""
    done: list[Operation] = []

    def apply(asked: Reserve | None) -> Reserved | None:
        operations: list[Operation] = [*turn.take_operations(), *([] if asked is None else [asked])]
        done.extend(operations)
        answers = book.apply(operations)
        return answers[-1] if answers else None

    try:
        asked = next(steps)
        while True:
            answer = apply(asked)
            assert answer is not None
            asked = steps.send(answer)
    except StopIteration as end:
        apply(None)
        return end.value, done
