"""The borrowers of the full job: their credit grants and drawdown requests."""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec

from bench.configuration import FUNDERS, GRADES, REGIONS, TERMS, funder_id
from bench.ground import Record
from market.publication import moment, rfc3339

GRANTS_PER_BORROWER = (4, 7)
_MINUTE = 60_000
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
        funders = self._dice.sample(range(FUNDERS), self._dice.randint(*GRANTS_PER_BORROWER))
        self._lines = [
            {
                "funder_id": funder_id(funder),
                "credit_limit": self._dice.randrange(1_000_000, 20_000_000, 100_000),
                "apr_bp": self._dice.randrange(900, 2500, 50),
            }
            for funder in funders
        ]

    def grants(self) -> Iterator[Record]:
        """Their credit grants, a week old."""
        for number, line in enumerate(self._lines):
            yield self._grant(f"grant-{self._number}-{number}", self._start - _GRANT_MS + number * _MINUTE, line)

    def renewal(self, number: int) -> Record:
        """A grant of the days before: one of their lines again, on the same terms.

        No decision depends on it, nor does its time move stream time, so that engines may read it when they like.
        """
        at = self._start - _GRANT_MS // 2 + number * _MINUTE
        return self._grant(f"renewal-{self._number}-{number}", at, self._lines[number % len(self._lines)])

    def request(self, number: int, at: int | None = None) -> Record:
        """Their drawdown request of that number (from 0), `at` that time (ms)."""
        drawdown_id = f"dd-{self._number:06d}-{number}"
        dice = Random(drawdown_id)
        return self._record(
            "drawdown-requests",
            self._start + number * _MINUTE if at is None else at,
            event_id=f"{drawdown_id}-asked",
            drawdown_id=drawdown_id,
            amount=10_000 * round(min(300, max(3, dice.lognormvariate(3.6, 0.8)))),
            term_months=dice.choice(TERMS),
            region=self._region,
            risk_grade=self._grade,
            age=self._age,
        )

    def _grant(self, event_id: str, at: int, line: dict[str, Any]) -> Record:
        return self._record(
            "credit-grants",
            at,
            event_id=event_id,
            **line,
            status="approved",
            expires_at=rfc3339(moment(self._start + 300 * 86_400_000)),
            region=self._region,
            risk_grade=self._grade,
        )

    def _record(self, topic: str, at: int, **fields: Any) -> Record:
        body = {"occurred_at": rfc3339(moment(at)), "customer_id": self._customer_id, **fields}
        return Record(topic, self._customer_id.encode(), msgspec.json.encode(body), at)
