"""What a demo ends with: figures, and what an audit from outside found."""

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import groupby
from random import Random
from statistics import fmean, quantiles

import msgspec

from config.rotation import Revision, RotationConfig
from market.audit import audit
from market.journal import Journal
from rotation.outputs import Decision
from rotation.rules import ROTATION_RULES

_SLACK_MS = 5_000
_FEWEST = 3
_DRAWS = 20
_SOFT = frozenset(rule.code for rule in ROTATION_RULES)


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a run. Shares are of a borrower's drawdowns; times in ms, by the demo's own clock."""

    published: int
    drawdowns: int
    decisions: dict[str, int]
    unaccounted: int
    still_held: int
    quota_overruns: int
    guarantee_overruns: int
    two_funders: int
    other_violations: dict[str, int]
    examples: list[str]
    top_funder_share: float
    top_funder_share_p90: float
    top_funder_share_weighted_random: float
    relaxed: dict[str, int]
    dead_letters: dict[str, int]
    dead_letters_expected: dict[str, int]
    latency_p50: float
    latency_p99: float

    @property
    def good(self) -> bool:
        """Whether something was decided, nothing is unaccounted for, and nothing broke a rule."""
        broken = self.unaccounted + self.quota_overruns + self.guarantee_overruns + self.two_funders
        letters = self.dead_letters == self.dead_letters_expected
        return bool(self.decisions) and broken == 0 and not self.other_violations and letters

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "good": self.good}

    def text(self) -> str:
        """For a person."""
        lines = [
            f"published              {self.published} records, {self.drawdowns} drawdowns",
            f"decisions              {sum(self.decisions.values())} ({_counts(self.decisions)})",
            f"unaccounted for        {self.unaccounted} (held and not expired: {self.still_held})",
            f"two funders            {self.two_funders} attempts",
            f"quota overruns         {self.quota_overruns}",
            f"guarantee overruns     {self.guarantee_overruns}",
            f"other violations       {_counts(self.other_violations) or 'none'}",
            f"top funder's share     {self.top_funder_share:.0%} of a borrower's drawdowns on average, "
            f"{self.top_funder_share_p90:.0%} at the 90th percentile",
            f"  by weighted random   {self.top_funder_share_weighted_random:.0%}",
            f"rules relaxed          {_counts(self.relaxed) or 'none'}",
            f"dead letters           {sum(self.dead_letters.values())} ({_counts(self.dead_letters)}), "
            f"expected {sum(self.dead_letters_expected.values())}",
            f"request to decision    {self.latency_p50:.0f} ms median, {self.latency_p99:.0f} ms at the 99th "
            "percentile, as the demo saw them",
            *(f"  {example}" for example in self.examples),
        ]
        return "\n".join(lines)


def summarise(journal: Journal, revision: Revision, ended_at: int, seed: int) -> Summary:
    """Audit a run that published until `ended_at` (ms), and sum it up."""
    report = audit(journal.records, [revision], ended_at=ended_at, slack_ms=_SLACK_MS)
    kinds = Counter(violation.kind for violation in report.violations)
    named = ("unaccounted", "quota_overrun", "guarantee_overrun", "two_funders")
    routed = _routed(journal)
    shares = [_top_share([d.funder_id for d in each]) for each in routed]
    random = Random(seed)  # noqa: S311  # a comparison, not a secret
    by_chance = [
        _top_share([_draw(revision.config, d, random) for d in each]) for each in routed for _ in range(_DRAWS)
    ]
    cuts = quantiles(journal.latencies, n=100) if len(journal.latencies) > 1 else [0.0] * 99
    return Summary(
        published=journal.published,
        drawdowns=report.drawdowns,
        decisions=dict(journal.statuses),
        unaccounted=kinds["unaccounted"],
        still_held=report.still_held,
        quota_overruns=kinds["quota_overrun"],
        guarantee_overruns=kinds["guarantee_overrun"],
        two_funders=kinds["two_funders"],
        other_violations={kind: number for kind, number in kinds.items() if kind not in named},
        examples=[f"{v.kind} at {v.where}: {v.detail}" for v in report.violations[:5]],
        top_funder_share=fmean(shares) if shares else 0.0,
        top_funder_share_p90=quantiles(shares, n=10)[8] if len(shares) > 1 else 0.0,
        top_funder_share_weighted_random=fmean(by_chance) if by_chance else 0.0,
        relaxed=dict(journal.relaxed),
        dead_letters=dict(sorted(journal.dead_letters.items())),
        dead_letters_expected=dict(sorted(journal.expected.items())),
        latency_p50=cuts[49],
        latency_p99=cuts[98],
    )


def _routed(journal: Journal) -> list[list[Decision]]:
    """The routed decisions of each borrower with enough of them, every one once."""
    values = {record.value for record in journal.records if record.topic == "routing-decisions" and record.value}
    decisions = (msgspec.json.decode(value, type=Decision) for value in values)
    ordered = sorted(
        (d for d in decisions if d.funder_id is not None), key=lambda d: (d.customer_id, d.decided_at, d.decision_id)
    )
    groups = [list(group) for _, group in groupby(ordered, key=lambda d: d.customer_id)]
    return [group for group in groups if len(group) >= _FEWEST]


def _top_share(funder_ids: list[str | None]) -> float:
    return Counter(funder_ids).most_common(1)[0][1] / len(funder_ids)


def _draw(config: RotationConfig, decision: Decision, random: Random) -> str:
    """A funder by configured weight among those that no hard rule drops."""
    passed = {candidate.funder_id for candidate in decision.candidates}
    passed |= {funder_id for funder_id, codes in decision.excluded.items() if _SOFT.issuperset(codes)}
    weights = {funder.id: funder.weight for funder in config.funders if funder.id in passed}
    return random.choices(list(weights), list(weights.values()))[0]


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(numbers.items()))
