"""What one configuration changes of another, in a risk officer's words: for which funder, and what."""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

from config.document import read_json
from config.rotation import Revision, RuleName

#: Whom a change concerns that is no single funder's.
EVERYBODY = "all funders"

_WORDS = {
    "name": "name",
    "kind": "kind",
    "weight": "weight",
    "age": "borrowers' age",
    "amount": "amount of a drawdown",
    "open": "open (Shanghai)",
    "fee_bp": "fee (bp)",
    "pass_rate_prior": "pass rate before outcomes tell",
    "guarantee": "guarantee",
    "quota.daily_amount": "most a day",
    "quota.daily_count": "most drawdowns a day",
    "guarantee.balance": "loan balance",
    "guarantee.guaranteed": "guaranteed part of the balance",
    "guarantee.cap": "cap on the guaranteed share",
    "apr_cap_bp": "highest annual rate (bp)",
    "attempts.max": "funders that a drawdown may be shown to",
    "holding.seconds": "seconds that a drawdown may be held",
    "reservation.ttl_seconds": "seconds that a reservation waits for its outcome",
    "rotation.min_live_grants": "live grants that a borrower should have",
    "rotation.relax_order": "rules given up when nobody is left, in order",
}
_LISTS = ("regions", "grades", "terms")
_MONEY = ("amount", "quota.daily_amount", "guarantee.balance", "guarantee.guaranteed")
_RULES = tuple(f"rotation.{rule}" for rule in get_args(RuleName))


class Difference(NamedTuple):
    """One change: whom it concerns (a funder's id or `EVERYBODY`), its key there, and what it is."""

    about: str
    key: str
    words: str

    def __str__(self) -> str:
        return f"{self.about}: {self.words}"


def differences(before: Revision, after: Revision) -> list[Difference]:
    """Every change from one revision to the other; none when both mean the same."""
    old, new = (read_json(revision.canonical) for revision in (before, after))
    old_funders, new_funders = ({funder["id"]: funder for funder in each.pop("funders")} for each in (old, new))
    found = [Difference(EVERYBODY, key, words) for key, words in _changes(old, new, "")]
    parts, parts_then = _parts(before), _parts(after)
    for funder_id in {**old_funders, **new_funders}:
        if funder_id not in new_funders:
            found.append(Difference(funder_id, "", "is removed"))
        elif funder_id not in old_funders:
            found.append(Difference(funder_id, "", f"is new, {new_funders[funder_id]['status']}"))
        else:
            changes = _changes(old_funders[funder_id], new_funders[funder_id], "")
            found += [Difference(funder_id, key, words) for key, words in changes]
        part, then = parts.get(funder_id, 0.0), parts_then.get(funder_id, 0.0)
        if abs(part - then) > 1e-9:
            found.append(Difference(funder_id, "weight", f"part of the active funders' weight {part:.1%} → {then:.1%}"))
    return found


def _parts(revision: Revision) -> dict[str, float]:
    weights = {funder.id: funder.weight for funder in revision.config.funders if funder.status == "active"}
    return {funder_id: weight / sum(weights.values()) for funder_id, weight in weights.items()}


def _changes(old: dict[str, Any], new: dict[str, Any], around: str) -> Iterator[tuple[str, str]]:
    for name in {**old, **new}:
        key, before, after = f"{around}{name}", old.get(name), new.get(name)
        if before == after:
            continue
        if key in _RULES and (before is None or after is None):
            yield key, f"rule {name} off" if after is None else f"rule {name} on ({_shown(key, after)})"
        elif isinstance(before, dict) and isinstance(after, dict):
            yield from _changes(before, after, f"{key}.")
        elif key == "examples":
            yield key, f"examples changed: {len(before or [])} → {len(after or [])}"
        elif key == "status":
            yield key, "paused: gets no drawdown" if after == "paused" else "active again"
        elif key in _LISTS and isinstance(before, list) and isinstance(after, list):
            yield key, f"{name} {_listed(before, after)}"
        else:
            yield key, f"{_WORDS.get(key, key)} {_shown(key, before)} → {_shown(key, after)}"


def _listed(before: list[Any], after: list[Any]) -> str:
    added, dropped = ([v for v in a if v not in b] for a, b in ((after, before), (before, after)))
    parts = [f"{sign} {', '.join(map(str, values))}" for sign, values in (("+", added), ("−", dropped)) if values]
    return " ".join(parts) or "in another order"


def _shown(key: str, value: Any) -> str:
    match value:
        case None:
            return "none"
        case int() if key in _MONEY:
            return f"{value // 100:,}.{value % 100:02} yuan"
        case list():
            return " – ".join(_shown(key, item) for item in value) if key in _MONEY else ", ".join(map(str, value))
        case dict():
            return ", ".join(f"{name} {_shown(f'{key}.{name}', item)}" for name, item in value.items())
        case _:
            return str(value)
