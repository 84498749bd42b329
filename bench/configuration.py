"""The rotation configuration of the full job: twelve funders with regions, grades, amounts and terms of their own.

Quotas and guarantee ratios are judged, but have ample room: so no decision depends on another borrower's.
"""

from typing import Any

FUNDERS = 12
REGIONS = ("310000", "320000", "330000", "440000", "110000", "370000")
GRADES = "ABCDE"
TERMS = (3, 6, 12, 24)
_AMPLE = 10**14


def funder_id(number: int) -> str:
    """The id of a funder, by its number from 0."""
    return f"funder-{number:02d}"


def configuration() -> dict[str, Any]:
    """The whole document."""
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
        "id": funder_id(number),
        "name": f"Funder {number}",
        "kind": ("bank", "consumer_finance", "trust", "bank")[number % 4],
        "status": "active",
        "weight": 1 + number % 3,
        "regions": list(REGIONS[number % 3 :]) if number % 3 else "all",
        "grades": list(GRADES[: 3 + number % 3]),
        "age": [20 + number % 4, 55 + number % 6],
        "amount": [50_000, 2_000_000 * (1 + number % 4)],
        "terms": list(TERMS[: 3 + number % 2]),
        "open": "00:00-24:00" if number % 5 else "08:00-20:00",
        "fee_bp": 300 + 10 * number,
        "pass_rate_prior": {"rate": round(0.7 + 0.01 * number, 2), "strength": 50},
        "quota": {"daily_amount": _AMPLE, "daily_count": 10**8},
        **({"guarantee": guarantee} if enhanced else {}),
    }
