"""`job`: the full job. Credit grants and drawdown requests of many borrowers at twelve funders.

Ours against a plain Faust agent that does the same by the same core (`bench.plain_faust`). Quotas and guarantee
ratios are judged but have ample room, and no outcome comes: so each decision depends on its borrower's own records
alone, and is the same whatever order an engine takes partitions in.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from bench.compare import Comparison
from bench.ground import Record, Topics
from bench.run import APPEND_TIME, DECISIONS, Engine, Load
from config.settings import Settings
from market.publication import moment, rfc3339
from streams.topics import create_topics, topic_name

FUNDERS = 12
REQUESTS_PER_BORROWER = 6
GRANTS_PER_BORROWER = (4, 7)
WARM_UP_BORROWERS = 200
_START = int(datetime(2026, 11, 2, 2, tzinfo=UTC).timestamp() * 1000)  # ten in the morning in Shanghai
_GRANT_MS = 7 * 86_400_000  # how long before the requests the grants come
_REGIONS = ("310000", "320000", "330000", "440000", "110000", "370000")
_GRADES = "ABCDE"
_TERMS = (3, 6, 12, 24)
_AMPLE = 10**14

OURS = Engine("loanrouter", "loanrouter worker", (sys.executable, "-c", "from cli.main import main; main()", "worker"))
PLAIN = Engine(
    "plain-faust",
    "plain Faust, one event at a time, as it comes",
    (sys.executable, "-m", "bench.plain_faust", "worker", "-l", "info"),
    share=0.05,
)
TUNED = replace(
    PLAIN,
    name="plain-faust-tuned",
    title="plain Faust, one event at a time, tuned (linger, uvloop, quiet logs)",
    command=(sys.executable, "-m", "bench.plain_faust", "worker", "-l", "warn"),
    env={"BENCH_TUNED": "1"},
)
ENGINES = (OURS, PLAIN, TUNED)


def comparison(folder: Path, events: int) -> Comparison:
    """All engines on about `events` requests; writes the rotation configuration into `folder`."""
    config = folder / "rotation.yaml"
    config.write_text(json.dumps(_configuration(), indent=1))  # JSON is YAML too
    return Comparison("job", ENGINES, partial(load, events), prepare, config)


def load(events: int, share: float) -> Load:
    """About `events` drawdown requests; with a `share` below 1, those of that part of the borrowers.

    A borrower's records do not depend on how many others there are.
    """
    borrowers = max(10, round(events * share / REQUESTS_PER_BORROWER))
    everybody = [_Borrower(number) for number in range(borrowers + WARM_UP_BORROWERS)]
    grants = [grant for one in everybody for grant in one.grants()]
    warm_up = [one.request(0) for one in everybody[borrowers:]]
    measured = [one.request(n) for n in range(REQUESTS_PER_BORROWER) for one in everybody[:borrowers]]
    return Load(grants, warm_up, measured)


async def prepare(topics: Topics, settings: Settings) -> None:
    """The contract's topics; the decisions are stamped by the broker, so that they tell when they were written."""
    stream_clock = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
    await topics.create([topic_name(settings, DECISIONS)], APPEND_TIME | stream_clock)
    await create_topics(settings)


class _Borrower:
    """One borrower, all of whose records follow from the number."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._customer_id = f"cust-{number:06d}"
        self._dice = Random(number)
        self._region = self._dice.choice(_REGIONS)
        self._grade = self._dice.choices(_GRADES, (3, 4, 3, 1, 1))[0]
        self._age = self._dice.randint(19, 62)

    def grants(self) -> Iterator[Record]:
        """Their credit grants, a week old."""
        funders = self._dice.sample(range(FUNDERS), self._dice.randint(*GRANTS_PER_BORROWER))
        for order, funder in enumerate(funders):
            at = _START - _GRANT_MS + order * 60_000
            yield self._record(
                "credit-grants",
                at,
                event_id=f"grant-{self._number}-{funder}",
                funder_id=_funder_id(funder),
                status="approved",
                credit_limit=self._dice.randrange(1_000_000, 20_000_000, 100_000),
                apr_bp=self._dice.randrange(900, 2500, 50),
                expires_at=rfc3339(moment(_START + 300 * 86_400_000)),
                region=self._region,
                risk_grade=self._grade,
            )

    def request(self, number: int) -> Record:
        """Their drawdown request of that number (from 0)."""
        drawdown_id = f"dd-{self._number:06d}-{number}"
        dice = Random(drawdown_id)
        return self._record(
            "drawdown-requests",
            _START + number * 60_000,
            event_id=f"{drawdown_id}-asked",
            drawdown_id=drawdown_id,
            amount=10_000 * round(min(300, max(3, dice.lognormvariate(3.6, 0.8)))),
            term_months=dice.choice(_TERMS),
            region=self._region,
            risk_grade=self._grade,
            age=self._age,
        )

    def _record(self, topic: str, at: int, **fields: Any) -> Record:
        body = {"occurred_at": rfc3339(moment(at)), "customer_id": self._customer_id, **fields}
        return Record(topic, self._customer_id.encode(), msgspec.json.encode(body), at)


def _funder_id(number: int) -> str:
    return f"funder-{number:02d}"


def _configuration() -> dict[str, Any]:
    return {
        "schema": 1,
        "rotation": {
            "never_last": {"n": 1},
            "max_share": {"of_last": 5, "at_most": 0.4},
            "cooldown": {"days": 0.0015},  # two minutes: borrowers come back every minute
            "exposure_budget": {"funders": 6, "within_days": 180},
            "relax_order": ["cooldown", "max_share", "exposure_budget", "never_last"],
            "min_live_grants": 3,
        },
        "selection": {"seed": "bench", "pass_rate_exponent": 1.0, "exploration": 0.05},
        "pass_rate_window_days": 30,
        "attempts": {"max": 2},
        "holding": {"seconds": 86_400},
        "reservation": {"ttl_seconds": 86_400},
        "apr_cap_bp": 2400,
        "funders": [_funder(number) for number in range(FUNDERS)],
        "capture": {
            "pass_rate": {"odds_ratio": 2.0, "arl_days": 365, "min_events": 100},
            "non_return": {"window_days": 60, "hazard_ratio": 1.5},
            "early_settlement": {"odds_ratio": 2.0},
            "canary": {"alpha": 0.01},
            "ladder": {
                "traffic_multiplier": {"watch": 1.0, "throttled": 0.5, "probing": 0.05, "paused": 0.0},
                "calm_days": 14,
                "pause_needs_approval": True,
            },
        },
    }


def _funder(number: int) -> dict[str, Any]:
    enhanced = number % 4 == 1
    guarantee = {"enhanced": True, "balance": 10**15, "guaranteed": 0, "cap": 0.5, "as_of": "2026-10-01T00:00:00+08:00"}
    return {
        "id": _funder_id(number),
        "name": f"Funder {number}",
        "kind": ("bank", "consumer_finance", "trust", "bank")[number % 4],
        "status": "active",
        "weight": 1 + number % 3,
        "regions": list(_REGIONS[number % 3 :]) if number % 3 else "all",
        "grades": list("ABCDE"[: 3 + number % 3]),
        "age": [20 + number % 4, 55 + number % 6],
        "amount": [50_000, 2_000_000 * (1 + number % 4)],
        "terms": list(_TERMS[: 3 + number % 2]),
        "open": "00:00-24:00" if number % 5 else "08:00-20:00",
        "fee_bp": 300 + 10 * number,
        "pass_rate_prior": {"rate": round(0.7 + 0.01 * number, 2), "strength": 50},
        "quota": {"daily_amount": _AMPLE, "daily_count": 10**8},
        **({"guarantee": guarantee} if enhanced else {}),
    }
