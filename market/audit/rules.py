"""Which exclusion codes surely apply to a funder at a decision, and which possibly do (contract, section 3).

Written from the contract alone, apart from the decision core, so that the two can disagree.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain, product

from config.rotation import Funder, RotationConfig
from market.audit.history import Borrower
from market.audit.loans import DAY_MS, SHANGHAI_MS, Loan
from rotation.events import CreditGrant, DrawdownRequest, millis

ROTATION_RULES = ("never_last", "max_share", "cooldown", "exposure_budget", "capture_risk")
ROOM_CODES = ("quota_exhausted", "guarantee_ratio")
MAX_LEDGERS = 256


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes that apply in every order of events the worker may have seen, and in at least one. `room` is not judged."""

    must: frozenset[str]
    may: frozenset[str]


@dataclass(frozen=True, slots=True)
class Situation:
    """A decision to be judged: who asked for what, when (stream time), after which loans; how far topics may lag.

    `paused` and `risks` (the share of borrowers of the grade that a funder is expected to capture, and whether that is
    a mere suspicion) are as published.
    """

    config: RotationConfig
    request: DrawdownRequest
    borrower: Borrower
    earlier: list[Loan]
    attempt: int
    at: int
    slack_ms: int
    paused: frozenset[str]
    risks: Mapping[str, tuple[float, bool]]

    def codes(self, funder: Funder, ledgers: list[list[Loan]] | None) -> Codes:
        """All codes for `funder`; rotation rules are left out of both when there are no `ledgers` to judge them by."""
        static = self._static(funder)
        worlds = list(self._grant_codes(funder))
        if ledgers is not None:
            seen = self._exposure(funder)
            worlds = [a | b | c for a, b, c in product(worlds, [self._ledger_codes(funder, x) for x in ledgers], seen)]
        may = static.union(*worlds) | (frozenset(ROTATION_RULES) if ledgers is None else frozenset())
        return Codes(static | frozenset.intersection(*worlds), may)

    def ledgers(self) -> list[list[Loan]] | None:
        """Every ledger the worker may have seen; None when they are too many to look at."""
        choices = [{view.in_ledger for view in loan.views(self.at, self.slack_ms)} for loan in self.earlier]
        if 2 ** sum(len(choice) > 1 for choice in choices) > MAX_LEDGERS:
            return None
        return [
            [loan for loan, in_ledger in zip(self.earlier, taken, strict=True) if in_ledger]
            for taken in product(*choices)
        ]

    def _static(self, funder: Funder) -> frozenset[str]:
        request = self.request
        applies = {
            "region_not_licensed": funder.regions != "all" and request.region not in funder.regions,
            "grade_not_accepted": request.risk_grade not in funder.grades,
            "age_out_of_range": not funder.age[0] <= request.age <= funder.age[1],
            "amount_out_of_range": not funder.amount[0] <= request.amount <= funder.amount[1],
            "term_not_offered": request.term_months not in funder.terms,
            "closed": not is_open(funder.open, self.at),
            "funder_paused": funder.status == "paused" or funder.id in self.paused,
            "excluded_by_request": funder.id in (request.exclude_funders or ()),
            "already_tried": any(
                loan.drawdown_id == request.drawdown_id and loan.funder_id == funder.id for loan in self.earlier
            ),
        }
        return frozenset(code for code, does in applies.items() if does)

    def _grant_codes(self, funder: Funder) -> set[frozenset[str]]:
        loans = [loan.views(self.at, self.slack_ms) for loan in self.earlier if loan.funder_id == funder.id]
        low = sum(min(view.low for view in views) for views in loans)
        high = sum(max(view.high for view in views) for views in loans)
        worlds = set()
        for grant in self.possible_grants(funder.id):
            if grant is None or grant.status != "approved" or _after(grant, self.at) or grant.credit_limit is None:
                worlds.add(frozenset({"no_live_grant"}))
                continue
            above = {"apr_above_cap"} if (grant.apr_bp or 0) > self.config.apr_cap_bp else set()
            for used in (low, high):
                short = {"grant_limit"} if grant.credit_limit - used < self.request.amount else set()
                worlds.add(frozenset(above | short))
        return worlds

    def possible_grants(self, funder_id: str) -> list[CreditGrant | None]:
        """The funder's last answer as the worker may have known it: newest by event time, the later on a tie."""
        known = self.borrower.grants.get(funder_id, [])
        sure = max((n for n, (ts, _) in enumerate(known, 1) if ts <= self.at - self.slack_ms), default=0)
        possible = max((n for n, (ts, _) in enumerate(known, 1) if ts <= self.at), default=0)
        return [
            max(enumerate(grant for _, grant in known[:n]), key=lambda x: (x[1].occurred_at, x[0]))[1] if n else None
            for n in range(sure, possible + 1)
        ]

    def _ledger_codes(self, funder: Funder, ledger: list[Loan]) -> frozenset[str]:
        rules = self.config.rotation
        funders = [loan.funder_id for loan in ledger]
        own = [loan.decided_at for loan in ledger if loan.funder_id == funder.id]
        codes = set()
        if rules.never_last and funder.id in funders[-rules.never_last.n :]:
            codes.add("never_last")
        if rules.max_share and len(ledger) >= rules.max_share.of_last - 1:
            recent = funders[len(funders) - (rules.max_share.of_last - 1) :]
            if recent.count(funder.id) + 1 > rules.max_share.at_most * rules.max_share.of_last + 1e-9:
                codes.add("max_share")
        if rules.cooldown and own and self.at - own[-1] < rules.cooldown.days * DAY_MS:
            codes.add("cooldown")
        share, suspected = self.risks.get(funder.id, (0.0, True))
        if rules.capture_risk and share > rules.capture_risk.at_most:
            drawn = f"{self.config.selection.seed}\0{self.request.drawdown_id}".encode()
            place = int.from_bytes(blake2b(drawn, digest_size=8).digest(), "big") / 2**64
            if not suspected or place >= rules.capture_risk.explored:
                codes.add("capture_risk")
        return frozenset(codes)

    def _exposure(self, funder: Funder) -> list[frozenset[str]]:
        rule = self.config.rotation.exposure_budget
        if rule is None:
            return [frozenset()]
        since = self.at - rule.within_days * DAY_MS
        routed = {loan.funder_id for loan in self.earlier if loan.decided_at > since}
        answers = [
            (ts, grant)
            for ts, grant in chain.from_iterable(self.borrower.grants.values())
            if ts <= self.at and millis(grant.occurred_at) > since
        ]
        surely = routed | {grant.funder_id for ts, grant in answers if ts <= self.at - self.slack_ms}
        maybe = routed | {grant.funder_id for _, grant in answers}
        over = frozenset({"exposure_budget"})
        must = funder.id not in maybe and len(surely) >= rule.funders
        may = funder.id not in surely and len(maybe - {funder.id}) >= rule.funders
        return [over] if must else [over, frozenset()] if may else [frozenset()]


def is_open(hours: str, at: int) -> bool:
    """Whether `at` (ms) falls in opening hours `HH:MM-HH:MM`, Shanghai time, which may run over midnight."""
    start, end = (int(text[:2]) * 60 + int(text[3:]) for text in hours.split("-"))
    minute = (at + SHANGHAI_MS) % DAY_MS // 60_000
    return start <= minute < end if start <= end else minute >= start or minute < end


def _after(grant: CreditGrant, at: int) -> bool:
    """Whether the grant has run out at `at` (ms)."""
    return grant.expires_at is None or millis(grant.expires_at) <= at
