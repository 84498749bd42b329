"""What an audit finds."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

#: Every kind of violation and what it means.
KINDS: Final = {
    "output_unreadable": "an output record is not what the contract describes: form, field order, key or partition",
    "decision_id": "a decision's id is not that of its drawdown, attempt and status",
    "decision_without_request": "a decision for a drawdown that nobody validly asked for",
    "repeat_differs": "a decision came out again with other bytes",
    "repeat_missing": "a repeated request was not answered with the decision again",
    "repeat_uncalled": "a decision came out again though nobody repeated the request and nothing crashed",
    "decided_too_early": "a decision is stamped before the record that caused it",
    "trace_lost": "a decision does not carry the traceparent of the record that caused it",
    "expires_at": "a decision's expires_at is not its drawdown's",
    "config_revision": "a decision names a revision or hash that does not exist",
    "two_funders": "one attempt was routed to two different funders",
    "two_terminals": "one attempt has two different terminal decisions",
    "held_twice": "one attempt was held twice, or held after its terminal decision",
    "attempts": "an attempt beyond the maximum, out of order, or without an outcome that calls for it",
    "unaccounted": "a drawdown, or its next attempt, has no decision and is not on hold",
    "routed_when_expired": "a drawdown was routed or held after it had expired, or rejected before",
    "missed_wakeup": "a drawdown expired on hold although a grant had come that would have served it",
    "status_reasons": "the reasons do not explain the status",
    "relaxed": "rules were relaxed out of order, unnecessarily, or without saying so",
    "candidates": "candidates and excluded funders do not cover the funders once each, or the chosen is not the first",
    "propensity": "propensities are not those of the configured weights and pass rates",
    "hard_rule": "a candidate breaks a rule that is never relaxed",
    "rotation_rule": "a candidate breaks a rotation rule that was not relaxed",
    "implausible_code": "a funder was excluded by a code that cannot apply",
    "missing_code": "a code that applies to an excluded funder is not listed",
    "quota_overrun": "a decision overran a funder's quota of a Shanghai day",
    "guarantee_overrun": "a decision took a funder's guaranteed share over its cap",
    "dead_letter_missing": "a bad record has no dead letter",
    "dead_letter_wrong": "a dead letter for good input, or with another reason, bytes, key or headers",
    "dead_letter_twice": "a bad record has several dead letters though nothing crashed",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `where` names a decision, drawdown or record, never a customer."""

    kind: str
    where: str
    detail: str = ""


@dataclass(slots=True)
class Report:
    """The violations, and the numbers that make them mean something.

    `unchecked` counts rotation-rule checks that were left out because too many orders of events were possible.
    """

    violations: list[Violation] = field(default_factory=list)
    inputs: int = 0
    drawdowns: int = 0
    repeated_requests: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    copies: int = 0
    still_held: int = 0
    relaxed: Counter[str] = field(default_factory=Counter)
    dead_letters_expected: Counter[str] = field(default_factory=Counter)
    dead_letters_seen: Counter[str] = field(default_factory=Counter)
    late_disbursed: int = 0
    unchecked: int = 0

    def add(self, kind: str, where: str, detail: str = "") -> None:
        """Note a violation of one of `KINDS`."""
        if kind not in KINDS:
            raise ValueError(f"no such kind of violation: {kind}")
        self.violations.append(Violation(kind, where, detail))

    def count(self, *kinds: str) -> int:
        """How many violations of these kinds there are."""
        return sum(violation.kind in kinds for violation in self.violations)

    @property
    def clean(self) -> bool:
        """Nothing was violated."""
        return not self.violations
