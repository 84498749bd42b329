"""The borrowers of the full job: their credit grants and drawdown requests."""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from bench.configuration import FUNDERS, GRADES, REGIONS, TERMS, funder_id
from bench.ground import Record
from market.publication import moment, rfc3339

GRANTS_PER_BORROWER = (4, 7)
_GRANT_MS = 7 * 86_400_000  # how long before the requests the grants come


class Borrower:
    """One borrower, all of whose records follow from the number.

    `start` (ms) is the time of the first request; those of the same borrower are a minute apart.
    """

    def __init__(self, number: int, start: int) -> None:
        self._number = number
        self._start = start
        self._customer_id = f"cust-{number:06d}"
        self._dice = Random(number)
        self._region = self._dice.choice(REGIONS)
        self._grade = self._dice.choices(GRADES, (3, 4, 3, 1, 1))[0]
        self._age = self._dice.randint(19, 62)

    def grants(self) -> Iterator[Record]:
        """Their credit grants, a week old."""
        funders = self._dice.sample(range(FUNDERS), self._dice.randint(*GRANTS_PER_BORROWER))
        for order, funder in enumerate(funders):
            at = self._start - _GRANT_MS + order * 60_000
            yield self._record(
                "credit-grants",
                at,
                event_id=f"grant-{self._number}-{funder}",
                funder_id=funder_id(funder),
                status="approved",
                credit_limit=self._dice.randrange(1_000_000, 20_000_000, 100_000),
                apr_bp=self._dice.randrange(900, 2500, 50),
                expires_at=rfc3339(moment(self._start + 300 * 86_400_000)),
                region=self._region,
                risk_grade=self._grade,
            )

    def request(self, number: int, at: int | None = None) -> Record:
        """Their drawdown request of that number (from 0), `at` that time (ms)."""
        drawdown_id = f"dd-{self._number:06d}-{number}"
        dice = Random(drawdown_id)
        return self._record(
            "drawdown-requests",
            self._start + number * 60_000 if at is None else at,
            event_id=f"{drawdown_id}-asked",
            drawdown_id=drawdown_id,
            amount=10_000 * round(min(300, max(3, dice.lognormvariate(3.6, 0.8)))),
            term_months=dice.choice(TERMS),
            region=self._region,
            risk_grade=self._grade,
            age=self._age,
        )

    def _record(self, topic: str, at: int, **fields: Any) -> Record:
        body = {"occurred_at": rfc3339(moment(at)), "customer_id": self._customer_id, **fields}
        return Record(topic, self._customer_id.encode(), msgspec.json.encode(body), at)
