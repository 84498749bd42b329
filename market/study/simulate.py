"""One run of a study: borrowers, strategic funders and a router that decides, in stream time.

Who captures whom stays in here.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple, get_args

import msgspec

from config.rotation import Revision, RuleName
from market.dice import Dice
from market.publication import moment
from market.study.bound import Placement, bound
from market.study.funders import Relation, StrategicFunder, outages
from market.study.measures import Measures, top_share
from market.study.policies import Strategy
from market.study.population import START, Person, Visit, person
from market.study.referee import Account, Referee, shanghai_day
from market.study.router import Answer, CoreRouter, Decided, Router
from market.study.scenario import Conduct, Scenario, configuration_of, scaled
from rotation.clock import DAY, MINUTE
from rotation.events import BorrowerEvent, CaptureSignal, CreditGrant, DrawdownOutcome, DrawdownRequest, Repayment
from rotation.outputs import FunderState
from rotation.state import LedgerEntry

#: Borrowers for which the study's quotas are written.
QUOTAS_FOR = 20_000
_RULES = get_args(RuleName)
_LINE = 365 * DAY
_PACED_EVERY = 15 * MINUTE
_MONTH = 30 * DAY
_STOPPED = ("throttled", "paused")


class Capture(NamedTuple):
    """A good borrower left for a funder at `at` (ms)."""

    at: int
    customer_id: str
    funder_id: str


@dataclass(slots=True)
class _Client:
    """A borrower in the run: the market's own books, and what is still to come.

    `answered` are the funders that have answered an application, `relations` are to those that were sent a drawdown.
    """

    person: Person
    answered: set[str] = field(default_factory=set)
    account: Account = field(default_factory=Account)
    relations: dict[str, Relation] = field(default_factory=dict)
    visits: dict[str, Visit] = field(default_factory=dict)
    owing: dict[str, tuple[str, int]] = field(default_factory=dict)
    gone: bool = False
    wakes_at: int | None = None


class Simulation:
    """A market under one policy. The same arguments give the same run. `captures` is the truth of it, in order."""

    def __init__(
        self,
        scenario: Scenario,
        configuration: Revision,
        strategy: Strategy,
        *,
        seed: int,
        borrowers: int,
        days: int,
        bounded: bool = False,
        router: Router | None = None,
    ) -> None:
        """`bounded` also measures the most that the run's drawdowns could have earned.

        The core decides in this process, under `configuration` with quotas for so many borrowers, unless there is a
        `router` that decides under `configuration` as it is.
        """
        if router is None:
            configuration = scaled(configuration, borrowers / QUOTAS_FOR)
        self._revision = configuration if strategy.rotates else _without_rules(configuration)
        config = self._revision.config
        self._scenario, self._strategy, self._seed, self._days = scenario, strategy, seed, days
        self._dice = Dice(seed)
        self._clients = [
            _Client(person(number, self._dice.of("person", number), scenario.population, days))
            for number in range(borrowers)
        ]
        self._by_id = {client.person.customer_id: client for client in self._clients}
        self._funders = {
            funder.id: StrategicFunder(
                funder,
                scenario,
                outages(scenario, self._dice.of("outages", funder.id), days),
                scenario.conduct.get(funder.id, Conduct("honest")),
            )
            for funder in config.funders
        }
        #: When those begin that capture in this run.
        self._begins = {
            funder_id: funder.conduct.from_day
            for funder_id, funder in self._funders.items()
            if any(funder.may_capture(client.person) for client in self._clients)
        }
        self._router = router or CoreRouter(self._revision, strategy, self._funders)
        self._states: dict[str, FunderState] = {}
        self._referee = Referee({funder.id: funder for funder in config.funders}, config.apr_cap_bp)
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._events, self._now = 0, 0
        self.captures: list[Capture] = []
        self._placements: list[Placement] | None = [] if bounded else None
        self._fees = 0
        self._counts: Counter[str] = Counter()
        self._detected: dict[str, int] = {}
        self._alerted: dict[str, int] = {}
        self._loans: Counter[str] = Counter()

    def run(self, on_day: Callable[[int], None] = lambda day: None) -> Measures:
        """Play all days; `on_day` is told each that has ended."""
        began = perf_counter()
        for client in self._clients:
            if client.person.visits:
                self._at(client.person.visits[0].at - 2 * DAY, self._arrive, client)
                for visit in client.person.visits:
                    self._at(visit.at, self._visit, client, visit)
        for day in range(1, self._days + 1):
            self._at(START + day * DAY, self._midnight, day, on_day)
        if self._revision.config.selection.pacing is not None:
            self._at(START, self._pace)
        end = START + self._days * DAY
        while self._heap and self._heap[0][0] <= end:
            self._now, _, do, arguments = heapq.heappop(self._heap)
            do(self._now, *arguments)
        return self._measures(perf_counter() - began)

    def _at(self, at: int, do: Callable[..., None], *arguments: Any) -> None:
        self._events += 1
        # A service may tell with the next event what it has decided before.
        heapq.heappush(self._heap, (max(at, self._now), self._events, do, arguments))

    def _arrive(self, at: int, client: _Client) -> None:
        rng = self._dice.of("arrival", client.person.number)
        suitable = [funder_id for funder_id, funder in self._funders.items() if funder.welcomes(client.person)]
        for funder_id in rng.sample(suitable, min(len(suitable), rng.randint(2, 3))):
            self._apply(at, client, funder_id)

    def _apply(self, at: int, client: _Client, funder_id: str) -> None:
        """The borrower applies at the funder, and is answered at once."""
        person, funder_id = client.person, self._steered(at, client, funder_id)
        if client.gone or funder_id in client.account.lines:
            return
        funder = self._funders[funder_id]
        rng = self._dice.of("line", person.number, funder_id)
        line = funder.line(person, rng)
        client.answered.add(funder_id)
        if line.limit:
            client.account.lines[funder_id] = line
            campaign = funder.campaign_on_line(person, at, rng)
            if campaign is not None:
                self._at(at + campaign, self._campaign, client, funder_id)
        self._tell(
            client,
            CreditGrant(
                event_id=f"grant-{funder_id}-{at}",
                occurred_at=moment(at),
                customer_id=person.customer_id,
                funder_id=funder_id,
                status="approved" if line.limit else "declined",
                credit_limit=line.limit or None,
                apr_bp=line.apr_bp if line.limit else None,
                expires_at=moment(at + _LINE) if line.limit else None,
                region=person.region,
                risk_grade=person.grade,
            ),
            at,
        )

    def _steered(self, at: int, client: _Client, funder_id: str) -> str:
        """Where a borrower applies under a policy that knows whom to avoid: elsewhere, if there is anybody."""
        avoids, person = self._strategy.avoids, client.person
        if avoids is None or not avoids(self._funders[funder_id], person, at):
            return funder_id
        others = (other for other in self._funders.items() if other[0] not in client.answered)
        return next((f for f, other in others if other.welcomes(person) and not avoids(other, person, at)), funder_id)

    def _visit(self, at: int, client: _Client, visit: Visit) -> None:
        if client.gone:
            return
        person = client.person
        drawdown_id = f"dd-{self._seed}-{person.number}-{visit.number}"
        client.visits[drawdown_id] = visit
        self._counts["drawdowns"] += 1
        self._tell(
            client,
            DrawdownRequest(
                event_id=drawdown_id,
                occurred_at=moment(at),
                drawdown_id=drawdown_id,
                customer_id=person.customer_id,
                amount=visit.amount,
                term_months=visit.term_months,
                region=person.region,
                risk_grade=person.grade,
                age=person.age,
                canary=True if person.canary else None,
            ),
            at,
        )

    def _tell(self, client: _Client, event: BorrowerEvent, at: int) -> None:
        self._hear(at, self._router.tell(client.person, event, at))

    def _wake(self, at: int, client: _Client) -> None:
        if client.wakes_at == at:
            client.wakes_at = None
            self._hear(at, self._router.wake(client.person, at))

    def _hear(self, at: int, answers: Sequence[Answer]) -> None:
        """Let happen what the router's answers bring about."""
        for answer in answers:
            client = self._by_id[answer.customer_id]
            self._counts["refusals"] += answer.refused
            for decided in answer.decided:
                self._counts[decided.status] += 1
                if decided.status == "rejected":
                    self._placed(at, client, decided.drawdown_id, None)
                elif decided.funder_id is not None:
                    self._routed(decided.at, client, decided, decided.funder_id)
            for funder_id in answer.advised:
                self._advised(at, client, funder_id)
            if answer.due is not None and answer.due != client.wakes_at:
                client.wakes_at = answer.due
                self._at(answer.due, self._wake, client)

    def _advised(self, at: int, client: _Client, funder_id: str) -> None:
        rng = self._dice.of("advice", client.person.number, len(client.answered))
        if rng.random() < self._scenario.population.follows_advice:
            self._at(at + int(rng.uniform(10 * MINUTE, DAY)), self._apply, client, funder_id)

    def _routed(self, at: int, client: _Client, decided: Decided, funder_id: str) -> None:
        person, visit = client.person, client.visits[decided.drawdown_id]
        funder = self._funders[funder_id]
        entry = LedgerEntry(
            decided.drawdown_id, decided.attempt, funder_id, decided.at, decided.at, visit.amount, person.grade
        )
        self._placed(at, client, entry.drawdown_id, funder_id)
        self._referee.routed(entry, person, client.account, visit, decided.paused, at)
        relation = client.relations.setdefault(entry.funder_id, Relation())
        rng = self._dice.of("drawdown", person.number, visit.number, entry.funder_id)
        if client.gone:  # who was intercepted walks away from the next funder as well
            self._at(at + MINUTE, self._outcome, client, entry, "cancelled")
            return
        self._counts["exposed_good"] += person.good and funder.wants(person)
        reply = funder.reply(person, relation, at, rng)
        self._at(at + reply.after, self._outcome, client, entry, reply.status)
        if reply.captured:
            self._capture(at + reply.after, client, entry.funder_id)
        if reply.campaign is not None:
            self._at(at + reply.campaign, self._campaign, client, entry.funder_id)
        if reply.contact is not None:
            self._at(at + reply.contact, self._signal, client, entry.funder_id, "canary_contacted")
        if reply.report is not None:
            self._at(at + reply.report, self._signal, client, entry.funder_id, "borrower_report")

    def _placed(self, at: int, client: _Client, drawdown_id: str, chosen: str | None) -> None:
        """Note for the bound who might have had an attempt of a borrower who is still there."""
        if self._placements is None or client.gone:
            return
        person, visit, end = client.person, client.visits[drawdown_id], START + self._days * DAY
        self._placements.append(
            Placement(
                shanghai_day(at),
                visit.amount,
                {
                    funder_id: self._funders[funder_id].prospect(
                        person, client.relations.get(funder_id, Relation()), visit.amount, at, end
                    )
                    for funder_id in self._referee.allowed(drawdown_id, person, client.account, visit, at)
                },
                chosen,
            )
        )

    def _capture(self, at: int, client: _Client, funder_id: str) -> None:
        client.gone = True
        self.captures.append(Capture(at, client.person.customer_id, funder_id))

    def _campaign(self, at: int, client: _Client, funder_id: str) -> None:
        """An offline campaign succeeds: the borrower settles early what they owe there, and never returns."""
        if client.gone:
            return
        self._capture(at, client, funder_id)
        for drawdown_id, (lender, owed) in list(client.owing.items()):
            if lender == funder_id:
                self._repay(at, client, drawdown_id, owed, "settled_early")

    def _signal(self, at: int, client: _Client, funder_id: str, kind: Any) -> None:
        self._events += 1
        self._router.signal(
            CaptureSignal(
                event_id=f"signal-{self._events}",
                occurred_at=moment(at),
                funder_id=funder_id,
                kind=kind,
                customer_id=client.person.customer_id,
            ),
            at,
        )

    def _outcome(self, at: int, client: _Client, entry: LedgerEntry, status: Any) -> None:
        amount, funder_id = entry.amount, entry.funder_id
        if status == "disbursed":
            self._lent(at, client, entry)
        else:
            self._referee.came_to_nothing(funder_id, client.account, amount, entry.decided_at)
        self._tell(
            client,
            DrawdownOutcome(
                event_id=f"{entry.drawdown_id}-{entry.attempt}",
                occurred_at=moment(at),
                drawdown_id=entry.drawdown_id,
                customer_id=client.person.customer_id,
                funder_id=funder_id,
                attempt=entry.attempt,
                status=status,
                amount=amount if status == "disbursed" else None,
            ),
            at,
        )

    def _lent(self, at: int, client: _Client, entry: LedgerEntry) -> None:
        funder_id, visit = entry.funder_id, client.visits[entry.drawdown_id]
        self._fees += entry.amount * self._funders[funder_id].funder.fee_bp // 10_000
        self._loans[funder_id] += 1
        client.relations[funder_id].loans += 1
        client.relations[funder_id].last = at
        for other, relation in client.relations.items():
            relation.elsewhere += other != funder_id
        client.owing[entry.drawdown_id] = (funder_id, entry.amount)
        rng = self._dice.of("loan", client.person.number, visit.number, funder_id)
        months = visit.term_months
        early = rng.random() < self._scenario.population.settles_early
        last = rng.randint(1, months - 1) if early else months
        for month in range(1, last + 1):
            principal = entry.amount // months
            kind = "instalment" if month < last else "settled_early" if early else "settled"
            due = at + month * _MONTH - (rng.randrange(_MONTH) if kind == "settled_early" else 0)
            if due > START + self._days * DAY:
                break
            self._at(due, self._repay, client, entry.drawdown_id, principal, kind)

    def _repay(self, at: int, client: _Client, drawdown_id: str, principal: int, kind: Any) -> None:
        if drawdown_id not in client.owing:
            return
        funder_id, owed = client.owing[drawdown_id]
        paid = principal if kind == "instalment" else owed
        client.account.owed[funder_id] -= paid
        client.owing[drawdown_id] = (funder_id, owed - paid)
        if owed == paid:
            del client.owing[drawdown_id]
        self._tell(
            client,
            Repayment(
                event_id=f"{drawdown_id}-{at}",
                occurred_at=moment(at),
                drawdown_id=drawdown_id,
                customer_id=client.person.customer_id,
                funder_id=funder_id,
                kind=kind,
                principal=paid,
                outstanding=owed - paid,
            ),
            at,
        )

    def _midnight(self, at: int, day: int, on_day: Callable[[int], None]) -> None:
        review = self._router.review(at)
        for alert in review.alerts:
            if self._has_begun(alert.funder_id, day):
                self._alerted.setdefault(alert.funder_id, day)
                if alert.level == "paused":  # where a person has to decide, no step follows
                    self._detected.setdefault(alert.funder_id, day)
            else:
                self._counts["false_alerts"] += 1
        for state in review.states:
            before = self._states.get(state.funder_id)
            stepped = state.state in _STOPPED and (before is None or before.state != state.state)
            self._states[state.funder_id] = state
            if stepped and self._has_begun(state.funder_id, day):
                self._detected.setdefault(state.funder_id, day)
            else:
                self._counts["false_steps"] += stepped
        self._hear(at, review.answers)
        on_day(day)

    def _pace(self, at: int) -> None:
        self._hear(at, self._router.pace(at).answers)
        self._at(at + _PACED_EVERY, self._pace)

    def _has_begun(self, funder_id: str, day: int) -> bool:
        """Whether the funder captures in this run, and has begun to by the end of that many days."""
        return day > self._begins.get(funder_id, self._days)

    def _measures(self, seconds: float) -> Measures:
        begins = self._begins
        honest_days = sum(begins.get(funder_id, self._days) for funder_id in self._funders)
        by_day = Counter((capture.at - START) // DAY for capture in self.captures)
        so_far, captured_by_day = 0, []
        for day in range(self._days):
            so_far += by_day[day]
            captured_by_day.append(so_far)
        lent = sum(self._loans.values())
        placements, funders = self._placements, self._revision.config.funders
        active = [client for client in self._clients if client.person.visits and client.relations]
        return Measures(
            scenario=self._scenario.name,
            policy=self._strategy.name,
            seed=self._seed,
            borrowers=len(self._clients),
            days=self._days,
            good=sum(client.person.good for client in self._clients),
            captured=sum(by_day[day] for day in range(self._days)),
            captured_by_day=captured_by_day,
            fees=self._fees,
            drawdowns=self._counts["drawdowns"],
            disbursed=lent,
            unserved=self._counts["drawdowns"] - lent,
            held=self._counts["held"],
            capturing=len(begins),
            detected={f: day - begins[f] for f, day in self._detected.items()},
            alerted={f: day - begins[f] for f, day in self._alerted.items()},
            false_steps=self._counts["false_steps"],
            false_alerts=self._counts["false_alerts"],
            honest_years=honest_days / 365,
            top_share=top_share([{f: r.loans for f, r in client.relations.items()} for client in active]),
            exposure=sum(len(client.answered | client.relations.keys()) for client in active) / max(1, len(active)),
            shares={funder_id: self._loans[funder_id] / max(1, lent) for funder_id in self._funders},
            exposed_good=self._counts["exposed_good"],
            overruns=self._referee.overruns,
            violations=dict(self._referee.violations),
            refusals=self._counts["refusals"],
            seconds=round(seconds, 2),
            expected=None if placements is None else sum(each.expected for each in placements),
            bound=None if placements is None else bound(placements, {funder.id: funder.quota for funder in funders}),
        )


def _without_rules(configuration: Revision) -> Revision:
    document = msgspec.to_builtins(configuration.config)
    for rule in _RULES:
        del document["rotation"][rule]
    document["rotation"]["relax_order"] = []
    return configuration_of(document)
