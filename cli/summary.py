"""What a demo comes to: its figures, what the audit from outside found, and both in words."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean, quantiles

import msgspec

from config.rotation import Revision
from market.audit import Report
from market.audit.rules import ROTATION_RULES
from market.dice import Dice
from market.journal import Journal
from rotation.outputs import Decision

SHORTEST_LEDGER = 3
REPETITIONS = 20
NAMED = ("unaccounted", "two_funders", "quota_overrun", "guarantee_overrun")
EXAMPLES = 5


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run.

    Shares are what a borrower's top funder holds of their drawdowns, over the borrowers with at least three that are
    loans or may become some, None where there is no such borrower; `_weighted_random` is what the same drawdowns would
    have come to, each drawn by weight and prior pass rate, without rotation rules. Latencies (ms) are from the sending
    of a request to the receipt of its decision by the market's own client. `first_decision_seconds` counts from the
    start of the run; None without one.
    """

    seed: int
    published: int
    drawdowns: int
    decisions: dict[str, int]
    repeated_decisions: int
    unaccounted: int
    still_held: int
    two_funders: int
    quota_overruns: int
    guarantee_overruns: int
    other_violations: dict[str, int]
    examples: list[str]
    late_disbursements: int
    top_funder_share: float | None
    top_funder_share_p90: float | None
    top_funder_share_weighted_random: float | None
    relaxed: dict[str, int]
    dead_letters: dict[str, int]
    dead_letters_expected: dict[str, int]
    latency_p50: float
    latency_p99: float
    first_decision_seconds: float | None

    @property
    def good(self) -> bool:
        """Whether something was decided, nothing is unaccounted for, and nothing broke a rule."""
        broken = self.unaccounted + self.quota_overruns + self.guarantee_overruns + self.two_funders
        letters = self.dead_letters == self.dead_letters_expected
        return bool(self.decisions) and broken == 0 and not self.other_violations and letters


def summarise(journal: Journal, report: Report, revision: Revision, *, seed: int, began: int) -> Summary:
    """The summary of what the journal has seen since `began` (ms) and the audit has found."""
    routed = _routed(journal)
    shares = top_shares(_ledgers(routed))
    by_chance = _weighted_random(routed, revision, seed)
    cuts = quantiles(journal.latencies, n=100, method="inclusive") if len(journal.latencies) > 1 else [0.0] * 99
    first = journal.first_decision_at
    return Summary(
        seed=seed,
        published=journal.published,
        drawdowns=report.drawdowns,
        decisions=dict(sorted(journal.statuses.items())),
        repeated_decisions=report.copies,
        unaccounted=report.count("unaccounted"),
        still_held=report.still_held,
        two_funders=report.count("two_funders"),
        quota_overruns=report.count("quota_overrun"),
        guarantee_overruns=report.count("guarantee_overrun"),
        other_violations=dict(Counter(v.kind for v in report.violations if v.kind not in NAMED)),
        examples=[f"{v.kind} at {v.where}: {v.detail}" for v in report.violations[:EXAMPLES]],
        late_disbursements=report.late_disbursed,
        top_funder_share=round(fmean(shares), 3) if shares else None,
        top_funder_share_p90=_p90(shares),
        top_funder_share_weighted_random=round(fmean(by_chance), 3) if by_chance else None,
        relaxed=dict(sorted(journal.relaxed.items())),
        dead_letters=dict(sorted(journal.dead_letters.items())),
        dead_letters_expected=dict(sorted(journal.expected.items())),
        latency_p50=round(cuts[49], 1),
        latency_p99=round(cuts[98], 1),
        first_decision_seconds=None if first is None else round((first - began) / 1000, 1),
    )


def in_words(summary: Summary) -> str:
    """The summary as lines of at most some 100 characters, the verdict last."""
    first, planted = summary.first_decision_seconds, sum(summary.dead_letters_expected.values())
    lines = [
        f"seed                   {summary.seed}",
        f"published              {summary.published} records, {summary.drawdowns} drawdowns among them",
        f"decisions              {sum(summary.decisions.values())} ({_counts(summary.decisions)})"
        f" and {summary.repeated_decisions} repeated",
        f"undecided              {summary.unaccounted}, and {summary.still_held} held that have not expired",
        f"with two funders       {summary.two_funders} attempts",
        f"quota overruns         {summary.quota_overruns}",
        f"guarantee overruns     {summary.guarantee_overruns}",
        f"other violations       {_counts(summary.other_violations) or 'none'}",
        *(f"  {example}" for example in summary.examples),
        f"top funder's share     {_percent(summary.top_funder_share)} of a borrower's drawdowns on average, "
        f"{_percent(summary.top_funder_share_p90)} at the 90th percentile",
        f"  without rotation     {_percent(summary.top_funder_share_weighted_random)}, by weighted random"
        f" (borrowers with at least {SHORTEST_LEDGER} drawdowns)",
        f"rules relaxed          {_counts(summary.relaxed) or 'none'}",
        f"late disbursements     {summary.late_disbursements}, after their reservation had ended",
        f"dead letters           {sum(summary.dead_letters.values())}, for {planted} bad records that the demo planted",
        *(f"  {reason:<21} {number}" for reason, number in summary.dead_letters.items()),
        f"request to decision    {summary.latency_p50:.0f} ms median, {summary.latency_p99:.0f} ms at the 99th "
        "percentile, as the demo saw it",
        f"first decision         {'none' if first is None else f'{first:.1f} s after the start'}",
        _verdict(summary),
    ]
    return "\n".join(lines)


def top_shares(ledgers: Sequence[Sequence[str]]) -> list[float]:
    """How much of each ledger is with its top funder; ledgers of less than three are left out."""
    return [Counter(ledger).most_common(1)[0][1] / len(ledger) for ledger in ledgers if len(ledger) >= SHORTEST_LEDGER]


def _p90(shares: Sequence[float]) -> float | None:
    if len(shares) < 2:
        return round(shares[0], 3) if shares else None
    return round(quantiles(shares, n=10, method="inclusive")[8], 3)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


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


def _weighted_random(routed: Sequence[Decision], revision: Revision, seed: int) -> list[float]:
    """Top shares when each is drawn by weight and prior pass rate, also among those that rotation rules kept out."""
    weights = {funder.id: funder.weight * funder.pass_rate_prior.rate for funder in revision.config.funders}
    rng = Dice(seed).of("weighted-random")
    shares: list[float] = []
    for _ in range(REPETITIONS):
        ledgers: dict[str, list[str]] = defaultdict(list)
        for decision in routed:
            kept_out = [id_ for id_, codes in decision.excluded.items() if set(codes) <= set(ROTATION_RULES)]
            eligible = [candidate.funder_id for candidate in decision.candidates] + kept_out
            drawn = rng.choices(eligible, [weights[funder_id] for funder_id in eligible])[0]
            ledgers[decision.customer_id].append(drawn)
        shares += top_shares(list(ledgers.values()))
    return shares


def _verdict(summary: Summary) -> str:
    if summary.good:
        return "All is well: everything asked for is decided, and the audit found no broken rule."
    if not summary.decisions:
        return "NOT WELL: nothing was decided."
    return "NOT WELL: see what is undecided, overrun or violated, or the dead letters, above."


def _counts(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))
