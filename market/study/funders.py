"""Strategic funders: what a funder of a scenario answers, whom it captures, and how that looks from outside.

What a funder does to one drawdown is drawn from a generator of that drawdown and funder alone, so that policies are
compared on the same luck.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import exp
from random import Random
from typing import Literal, NamedTuple

from config.rotation import Funder
from market.study.bound import Prospect
from market.study.measures import LOSS_PER_CAPTURE
from market.study.population import LIMITS, START, Person
from market.study.scenario import Conduct, Scenario
from rotation.clock import DAY, MINUTE

Status = Literal["disbursed", "declined", "cancelled", "timed_out", "failed"]
GRADE_EFFECT = {"A": 0.05, "B": 0.03, "C": 0.0, "D": -0.06, "E": -0.1}
HOUR = 60 * MINUTE
_HONEST = Conduct("honest")
#: A stealthy funder keeps its fall below what it allows itself over this many days: its pass rate is watched so long.
_WATCHED_DAYS = 30
#: A campaign comes so many days after a loan, within so many.
_CAMPAIGN_AFTER, _CAMPAIGN_WITHIN = 5, 30


class Line(NamedTuple):
    """A funder's answer to an application: the limit (fen) and annual rate, or a limit of 0 for no."""

    limit: int
    apr_bp: int


class Reply(NamedTuple):
    """What becomes of a drawdown `after` ms: its outcome, and what the funder does behind it.

    `captured` at once, or by a campaign `campaign` ms after the drawdown; `contact` is a call to staff, `report` a
    complaint, each so many ms later; None for what does not happen.
    """

    status: Status
    after: int
    captured: bool = False
    campaign: int | None = None
    contact: int | None = None
    report: int | None = None


@dataclass(slots=True)
class Relation:
    """What a funder knows of a borrower: its loans to them, the last one (ms), and the loans elsewhere."""

    loans: int = 0
    last: int = 0
    elsewhere: int = 0

    def depth(self, at: int) -> float:
        """How deep the relationship is, 0 to 1: by number, share and recency of the loans."""
        if not self.loans:
            return 0.0
        share = self.loans / (self.loans + self.elsewhere)
        return share * (1 - exp(-self.loans / 2)) * exp(-(at - self.last) / (90 * DAY))


@dataclass(slots=True)
class StrategicFunder:
    """One funder at work. `outages` are spans (ms).

    `seen` and `taken` are its own count by day of the study: drawdowns it answered, and those it captured at once.
    """

    funder: Funder
    scenario: Scenario
    outages: list[tuple[int, int]]
    conduct: Conduct = _HONEST
    seen: Counter[int] = field(default_factory=Counter)
    taken: Counter[int] = field(default_factory=Counter)
    _approves: float = field(init=False)

    def __post_init__(self) -> None:
        self._approves = self.scenario.service.approves

    def welcomes(self, person: Person) -> bool:
        """Whether the borrower is of the kind it lends to."""
        funder = self.funder
        return (
            (funder.regions == "all" or person.region in funder.regions)
            and person.grade in funder.grades
            and funder.age[0] <= person.age <= funder.age[1]
        )

    def line(self, person: Person, rng: Random) -> Line:
        """Its answer to an application."""
        accepted = rng.random() < (self._approves if self.welcomes(person) else 0.1)
        limit, apr = LIMITS[person.grade] * rng.uniform(0.7, 1.5), rng.randrange(1_200, 2_401, 20)
        above_cap = rng.random() < 0.02
        return Line(round(limit / 100_000) * 100_000 if accepted else 0, 2_800 if above_cap else apr)

    def reply(self, person: Person, relation: Relation, at: int, rng: Random) -> Reply:
        """What it does with a drawdown of the borrower that is routed to it at `at` (ms)."""
        dice = [rng.random() for _ in range(8)]
        after = MINUTE + int(dice[0] * 14 * MINUTE)
        service, hazard = self.scenario.service, self.scenario.hazard
        if self._is_out(at) or dice[1] < service.failure_rate:
            return Reply("timed_out" if dice[2] < 0.6 else "failed", after)
        day = _day(at)
        self.seen[day] += 1
        threat = self.threat(person, relation, at)
        later = int((2 + 10 * dice[3]) * DAY)
        attempted = min(1.0, threat * hazard.attempts_per_capture)
        contact = later if person.canary and dice[4] < max(attempted, hazard.false_contact_rate) else None
        reported = not person.canary and dice[4] < hazard.report_rate * attempted + hazard.false_report_rate
        report = later if reported else None
        captured = not person.canary and dice[5] < threat
        if captured and self.conduct.behaviour == "immediate":
            self.taken[day] += 1
            return Reply("cancelled" if dice[2] < 0.6 else "declined", after, captured=True, report=report)
        status: Status = "cancelled" if dice[2] < 0.2 else "declined"
        if dice[6] < self.passes(person, at):
            status = "disbursed"
        campaign = _campaign(dice[7]) if captured and status == "disbursed" else None
        return Reply(status, after, campaign=campaign, contact=contact, report=report)

    def prospect(self, person: Person, relation: Relation, amount: int, at: int, until: int) -> Prospect:
        """What `reply` comes to on average, of the captures up to `until` (ms), in fen."""
        if self._is_out(at):
            return Prospect(0.0, 0.0)
        answers = 1 - self.scenario.service.failure_rate
        captured = 0.0 if person.canary else self.threat(person, relation, at)
        lends = answers * self.passes(person, at)
        if self.conduct.behaviour == "immediate":
            lends, lost = lends * (1 - captured), answers * captured
        else:
            in_time = ((until - at) / DAY - _CAMPAIGN_AFTER) / _CAMPAIGN_WITHIN
            lost = lends * captured * min(1.0, max(0.0, in_time))
        return Prospect(lends * (amount * self.funder.fee_bp // 10_000) - lost * LOSS_PER_CAPTURE, lends)

    def campaign_on_line(self, person: Person, at: int, rng: Random) -> int | None:
        """After how many ms an offline campaign takes the borrower who merely has a line; None for never."""
        if self.conduct.behaviour != "offline" or person.canary or not (self.wants(person) and self.is_at_work(at)):
            return None
        chance = self.scenario.hazard.grant_hazard * self.conduct.intensity
        return _campaign(rng.random()) if rng.random() < chance else None

    def passes(self, person: Person, at: int) -> float:
        """The chance that an honest funder of this rate would lend, with tightened credit."""
        rate = self.funder.pass_rate_prior.rate + GRADE_EFFECT[person.grade] + 0.15 * (person.quality - 0.75)
        if self.conduct.behaviour == "tightening" and self._means(person) and self.is_at_work(at):
            rate -= self.conduct.drop
        return min(0.98, max(0.05, rate))

    def _is_out(self, at: int) -> bool:
        return any(begin <= at < end for begin, end in self.outages)

    def is_at_work(self, at: int) -> bool:
        """Whether it does on this day what the scenario says of it."""
        day = _day(at) - self.conduct.from_day
        if day < 0:
            return False
        on, off = self.conduct.on_days, self.conduct.off_days
        return on is None or off is None or day % (on + off) < on

    def wants(self, person: Person) -> bool:
        """Whether this borrower is of those whom it captures at some time."""
        return self.conduct.captures and (person.good or person.canary) and self._means(person)

    def may_capture(self, person: Person) -> bool:
        """Whether it could ever capture this borrower: a good one, whom it lends to, and who comes after it began."""
        began = START + self.conduct.from_day * DAY
        comes = any(visit.at >= began for visit in person.visits)
        return comes and person.good and self.wants(person) and self.welcomes(person)

    def _means(self, person: Person) -> bool:
        """Whether the borrower is of those to whom its conduct is confined."""
        conduct = self.conduct
        return (conduct.regions is None or person.region in conduct.regions) and (
            conduct.grades is None or person.grade in conduct.grades
        )

    def threat(self, person: Person, relation: Relation, at: int) -> float:
        """The chance that it captures the borrower at this drawdown, 0 to 1; for staff, that it would like to."""
        conduct, hazard = self.conduct, self.scenario.hazard
        if not self.wants(person) or not self.is_at_work(at):
            return 0.0
        if conduct.borrowers != "both" and (conduct.borrowers == "new") != (relation.loans == 0):
            return 0.0
        if conduct.most_drop is not None and self._would_show(_day(at), conduct.most_drop):
            return 0.0
        chance = hazard.exposure_hazard + hazard.depth_hazard * relation.depth(at)
        chance *= conduct.intensity * (0.6 + 0.5 * person.quality)
        return min(1.0, chance * (conduct.canary_misses if person.canary else 1.0))

    def _would_show(self, day: int, most_drop: float) -> bool:
        """Whether one more, since it began and in as many days as it is watched, lowers its pass rate too far."""
        days = range(max(self.conduct.from_day, day - _WATCHED_DAYS + 1), day + 1)
        return sum(self.taken[each] for each in days) + 1 >= most_drop * sum(self.seen[each] for each in days)


def _day(at: int) -> int:
    """The day of the study at a time (ms)."""
    return (at - START) // DAY


def _campaign(chance: float) -> int:
    """How long after a loan or an answer a campaign reaches the borrower (ms)."""
    return int((_CAMPAIGN_AFTER + _CAMPAIGN_WITHIN * chance) * DAY)


def outages(scenario: Scenario, rng: Random, days: int) -> list[tuple[int, int]]:
    """When (ms, from and until) a funder is out in a study of that many days."""
    service = scenario.service
    spans: list[tuple[int, int]] = []
    if service.outages_a_year <= 0 or service.outage_hours <= 0:
        return spans
    at = float(START)
    while (at := at + rng.expovariate(service.outages_a_year / (365 * DAY))) < START + days * DAY:
        spans.append((int(at), int(at + rng.expovariate(1 / (service.outage_hours * HOUR)))))
    return spans
