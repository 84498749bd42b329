"""Recorded traffic of any size, made by the core itself: an archive as `loanrouter export` writes it.

Borrowers hold grants at several funders and draw, repay in full and draw again; a funder lends with a chance that is
planted by funder and grade. `python -m bench.traffic FOLDER --drawdowns 1000000` writes one.
"""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

import click
import msgspec

from config.load import load_file
from config.revisions import encode_record, first_revision
from config.rotation import Revision
from rotation.book import MemoryBook
from rotation.clock import DAY, MINUTE
from rotation.decide import Steps
from rotation.events import BorrowerEvent, CreditGrant, DrawdownOutcome, DrawdownRequest, Repayment, millis
from rotation.outputs import FunderState, encode
from rotation.policy import Policy
from rotation.state import Borrower
from rotation.turn import Turn
from rotation.waves import Life, run_against
from streams.archive import ArchiveWriter
from streams.log import LogRecord
from streams.topics import partition_of

START = datetime(2026, 11, 2, tzinfo=UTC)
Chance = Callable[[str, str], float]
_TOPICS: dict[type, str] = {
    CreditGrant: "credit-grants",
    DrawdownRequest: "drawdown-requests",
    DrawdownOutcome: "drawdown-outcomes",
    Repayment: "repayments",
}


def planted(funder_id: str, risk_grade: str) -> float:
    """A chance of lending that falls with the grade and is each funder's own."""
    own = sum(funder_id.encode()) % 7
    return 0.9 - 0.05 * own - 0.08 * "ABCDE".index(risk_grade)


def traffic(
    revision: Revision,
    drawdowns: int,
    *,
    seed: int = 7,
    each: int = 10,
    days: int = 30,
    partitions: int = 8,
    chance: Chance = planted,
) -> Iterator[LogRecord]:
    """The records of some days with so many drawdowns, `each` of them by one borrower on average."""
    yield from _Market(revision, random.Random(seed), partitions, chance).records(drawdowns, each, days)


class _Market:
    def __init__(self, revision: Revision, luck: random.Random, partitions: int, chance: Chance) -> None:
        self._revision = revision
        self._luck = luck
        self._partitions = partitions
        self._chance = chance
        self._states: dict[str, FunderState] = {}
        self._version = -1
        self._policy = Policy(revision, {}, -1)
        self._book = MemoryBook(self._policy.limits)
        self._borrowers: dict[str, Borrower] = {}
        self._offsets: dict[tuple[str, int], int] = {}
        self._due: list[tuple[int, int, BorrowerEvent | str | None]] = []
        self._number = 0
        self._grades: dict[str, str] = {}
        self._homes: dict[str, str] = {}

    def records(self, drawdowns: int, each: int, days: int) -> Iterator[LogRecord]:
        start, length = millis(START), days * DAY
        document = encode_record(self._revision, author="bench", reason="traffic", occurred_at=START)
        yield self._record("rotation-config", "config", document, start, partition=0)
        borrowers = max(drawdowns // each, 1)
        for n in range(borrowers):
            for grant in self._grants(f"c-{n}", start):
                self._put(start + self._luck.randrange(MINUTE), grant)
        for hour in range(days * 24):
            self._put(start + hour * 60 * MINUTE, None)
        for n in range(drawdowns):
            customer = f"c-{self._luck.randrange(borrowers)}"
            at = start + MINUTE + self._luck.randrange(length - MINUTE)
            self._put(at, self._request(f"dd-{n}", customer, at))
        while self._due:
            at, _, event = heappop(self._due)
            yield from self._new_states(at) if event is None else self._happens(at, event)

    def _put(self, at: int, event: BorrowerEvent | str | None) -> None:
        self._number += 1
        heappush(self._due, (at, self._number, event))

    def _grants(self, customer_id: str, at: int) -> Iterator[BorrowerEvent]:
        funders = self._policy.funder_ids
        self._homes[customer_id] = self._luck.choice(["310000", "440000", "110000", "330000"])
        self._grades[customer_id] = self._luck.choices("ABCDE", (30, 30, 20, 12, 8))[0]
        for funder_id in self._luck.sample(funders, min(len(funders), self._luck.randint(3, 5))):
            yield CreditGrant(
                event_id=f"g-{customer_id}-{funder_id}",
                occurred_at=_time(at),
                customer_id=customer_id,
                funder_id=funder_id,
                status="approved",
                credit_limit=20_000_000,
                apr_bp=1800,
                expires_at=_time(at + 400 * DAY),
            )

    def _request(self, drawdown_id: str, customer_id: str, at: int) -> DrawdownRequest:
        return DrawdownRequest(
            event_id=f"r-{drawdown_id}",
            occurred_at=_time(at),
            drawdown_id=drawdown_id,
            customer_id=customer_id,
            amount=self._luck.randrange(5, 60) * 10_000,
            term_months=self._luck.choice([6, 12]),
            region=self._homes[customer_id],
            risk_grade=self._grades[customer_id],  # type: ignore[arg-type]
            age=30,
        )

    def _new_states(self, at: int) -> Iterator[LogRecord]:
        for funder in self._revision.config.funders:
            rates = {grade: funder.pass_rate_prior.rate + self._luck.uniform(-0.05, 0.05) for grade in "ABCDE"}
            state = FunderState(funder.id, rates, "normal", 1.0, "", "bench", self._version + 1)
            self._states[funder.id] = state
            self._version += 1
            yield self._record("funder-states", funder.id, encode(state), at, partition=0)
        self._policy = Policy(self._revision, dict(self._states), self._version)

    def _happens(self, at: int, event: BorrowerEvent | str) -> Iterator[LogRecord]:
        customer_id = event if isinstance(event, str) else event.customer_id
        if not isinstance(event, str):
            yield self._record(_TOPICS[type(event)], customer_id, msgspec.json.encode(event), at)
        borrower = self._borrowers.setdefault(customer_id, Borrower())
        turn = Turn(customer_id, borrower, self._policy)
        run_against(self._book, [Life(None, turn, _all(turn, event, at))])
        if turn.decisions and borrower.wake_at is not None:
            self._put(borrower.wake_at, customer_id)
        routed = [said for said in turn.decisions if said.status == "routed"]
        for said in turn.decisions:
            yield self._record("routing-decisions", customer_id, said.value, said.now)
        for entry in borrower.ledger[-len(routed) :] if routed else ():
            lends = self._luck.random() < self._chance(entry.funder_id, entry.risk_grade)
            answered = at + self._luck.randrange(MINUTE, 10 * MINUTE)
            about = {"drawdown_id": entry.drawdown_id, "customer_id": customer_id, "funder_id": entry.funder_id}
            outcome: dict[str, Any] = {**about, "attempt": entry.attempt, "status": "declined"}
            if lends:
                outcome |= {"status": "disbursed", "amount": entry.amount}
                self._put(*self._settlement(answered + self._luck.randrange(DAY, 12 * DAY), entry.amount, about))
            event_id = f"o-{entry.drawdown_id}-{entry.attempt}"
            self._put(answered, DrawdownOutcome(event_id=event_id, occurred_at=_time(answered), **outcome))

    def _settlement(self, at: int, amount: int, about: dict[str, Any]) -> tuple[int, Repayment]:
        event = Repayment(
            event_id=f"p-{about['drawdown_id']}",
            occurred_at=_time(at),
            **about,
            kind="settled",
            principal=amount,
            outstanding=0,
        )
        return at, event

    def _record(self, topic: str, key: str, value: bytes, at: int, partition: int | None = None) -> LogRecord:
        place = partition_of(key.encode(), self._partitions) if partition is None else partition
        offset = self._offsets.get((topic, place), 0)
        self._offsets[topic, place] = offset + 1
        return LogRecord(topic, place, offset, at, key.encode(), value)


def _all(turn: Turn, event: BorrowerEvent | str, at: int) -> Steps[None]:
    if isinstance(event, str):
        yield from turn.wake(at)
    else:
        yield from turn.handle(event, at, [])


def _time(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at)


def document_of(config: Path) -> dict[str, Any]:
    """A configuration's document for borrowers who come back after days."""
    document = load_file(config)
    document["rotation"]["cooldown"] = {"days": 1}
    return document | {"holding": {"seconds": 900}, "reservation": {"ttl_seconds": 1800}}


def write(folder: Path, document: dict[str, Any], drawdowns: int) -> None:
    """Write an archive of so many drawdowns."""
    with ArchiveWriter(folder) as writer:
        for record in traffic(first_revision(document), drawdowns):
            writer.write(record)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--drawdowns", default=1_000_000, show_default=True)
@click.option("--config", default="market/rotation.yaml", show_default=True, type=click.Path(path_type=Path))
def main(folder: Path, drawdowns: int, config: Path) -> None:
    """Write recorded traffic into FOLDER."""
    write(folder, document_of(config), drawdowns)


if __name__ == "__main__":
    main(prog_name="python -m bench.traffic")
