"""What a run of the market comes to, for people and as JSON."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import mean, quantiles

import msgspec

from config.rotation import Revision
from market.audit import Report
from market.audit.rules import ROTATION_RULES
from market.dice import Dice
from market.journal import Journal
from rotation.outputs import Decision

SHORTEST_LEDGER = 3
REPETITIONS = 20


class Concentration(msgspec.Struct, frozen=True):
    """Share of a borrower's drawdowns that its top funder holds, over borrowers with at least three."""

    borrowers: int
    mean: float
    p90: float


class Summary(msgspec.Struct, frozen=True):
    """The figures of one run. Times in ms.

    Latency is from the sending of a request to the receipt of its decision by the market's own client.
    `weighted_random` is what the same drawdowns would have come to without rotation rules.
    """

    seed: int
    published: int
    drawdowns: int
    decisions: dict[str, int]
    repeated_decisions: int
    still_held: int
    unaccounted: int
    two_funder_attempts: int
    quota_overruns: int
    guarantee_overruns: int
    violations: dict[str, int]
    first_violations: list[str]
    late_disbursed: int
    top_funder_share: Concentration
    weighted_random: Concentration
    relaxed: dict[str, int]
    dead_letters_expected: dict[str, int]
    dead_letters: dict[str, int]
    latency_p50_ms: float
    latency_p99_ms: float
    first_decision_ms: int | None

    @property
    def passed(self) -> bool:
        """Nothing was violated, and the dead letters are those that were planted."""
        return not self.violations and self.dead_letters == self.dead_letters_expected


def summarise(
    journal: Journal, report: Report, revision: Revision, *, seed: int, first_decision_ms: int | None
) -> Summary:
    """The summary of what the journal has seen and the audit has found."""
    latencies = sorted(journal.latencies) or [0]
    cuts = quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else latencies * 99
    routed = _routed(journal)
    return Summary(
        seed=seed,
        published=journal.published,
        drawdowns=report.drawdowns,
        decisions=dict(sorted(report.decisions.items())),
        repeated_decisions=report.copies,
        still_held=report.still_held,
        unaccounted=report.count("unaccounted"),
        two_funder_attempts=report.count("two_funders"),
        quota_overruns=report.count("quota_overrun"),
        guarantee_overruns=report.count("guarantee_overrun"),
        violations=dict(Counter(violation.kind for violation in report.violations)),
        first_violations=[f"{v.kind} {v.where} {v.detail}".strip() for v in report.violations[:20]],
        late_disbursed=report.late_disbursed,
        top_funder_share=concentration(_ledgers(routed)),
        weighted_random=_weighted_random(routed, revision, seed),
        relaxed=dict(sorted(report.relaxed.items())),
        dead_letters_expected=dict(sorted(journal.expected.items())),
        dead_letters=dict(sorted(report.dead_letters_seen.items())),
        latency_p50_ms=cuts[49],
        latency_p99_ms=cuts[98],
        first_decision_ms=first_decision_ms,
    )


def concentration(ledgers: Sequence[Sequence[str]]) -> Concentration:
    """How much of each ledger is with its top funder; ledgers of less than three are left out."""
    shares = sorted(
        Counter(ledger).most_common(1)[0][1] / len(ledger) for ledger in ledgers if len(ledger) >= SHORTEST_LEDGER
    )
    if not shares:
        return Concentration(0, 0.0, 0.0)
    return Concentration(len(shares), round(mean(shares), 3), round(shares[int(0.9 * (len(shares) - 1))], 3))


def _routed(journal: Journal) -> list[Decision]:
    """Every routed decision whose drawdown counts as a loan or may yet, once each, in the order of the log."""
    decisions: dict[str, Decision] = {}
    for record in journal.records:
        if record.topic == "routing-decisions":
            decision = msgspec.json.decode(record.value or b"", type=Decision)
            if decision.funder_id is not None:
                decisions.setdefault(decision.decision_id, decision)
    return [decision for decision_id, decision in decisions.items() if decision_id not in journal.not_loans]


def _ledgers(routed: Sequence[Decision]) -> list[list[str]]:
    ledgers: dict[str, list[str]] = defaultdict(list)
    for decision in routed:
        ledgers[decision.customer_id].append(decision.funder_id or "")
    return list(ledgers.values())


def _weighted_random(routed: Sequence[Decision], revision: Revision, seed: int) -> Concentration:
    """The same drawdowns, each drawn by weight and prior pass rate, also among those that rotation rules kept out."""
    weights = {funder.id: funder.weight * funder.pass_rate_prior.rate for funder in revision.config.funders}
    rng = Dice(seed).of("weighted-random")
    repeated = []
    for _ in range(REPETITIONS):
        ledgers: dict[str, list[str]] = defaultdict(list)
        for decision in routed:
            kept_out = [id_ for id_, codes in decision.excluded.items() if set(codes) <= set(ROTATION_RULES)]
            eligible = [candidate.funder_id for candidate in decision.candidates] + kept_out
            drawn = rng.choices(eligible, [weights[funder_id] for funder_id in eligible])[0]
            ledgers[decision.customer_id].append(drawn)
        repeated.append(concentration(list(ledgers.values())))
    return Concentration(
        repeated[0].borrowers, round(mean(x.mean for x in repeated), 3), round(mean(x.p90 for x in repeated), 3)
    )
