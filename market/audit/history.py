"""What happened, put in order: each borrower's valid requests, grants and loans, and every decision on them.

Deciding which outcome, repayment or repeated request was valid needs the decisions; it is done here, and with it the
dead letters that the contract calls for are known.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import e
from typing import TypeVar

import msgspec

from config.rotation import Revision, RiskGrade, RotationConfig
from market.audit.loans import Loan
from market.audit.log import Bad, Position, Record, content, judge, time_ms
from market.audit.report import Report
from rotation.events import CaptureSignal, CreditGrant, DrawdownOutcome, DrawdownRequest, Repayment
from rotation.outputs import CreditApplication, Decision, FunderState

DrawdownKey = tuple[str, str]
Event = TypeVar("Event", bound=msgspec.Struct)
Output = TypeVar("Output", bound=msgspec.Struct)
LATE = ("timed_out", "failed")
#: Fields that outputs may leave out.
OPTIONAL = ("capture_risk", "silent", "price")


@dataclass(slots=True)
class Decided:
    """A decision as first published, its record, and the borrower's loans that were decided before it."""

    decision: Decision
    record: Record
    decided_at: int
    copies: int = 1
    earlier: int = 0
    loan: Loan | None = None


@dataclass(slots=True)
class Drawdown:
    """A valid request and all that was decided on it, in the order of the log."""

    request: DrawdownRequest
    record: Record
    repeats: int = 0
    decided: list[Decided] = field(default_factory=list)


@dataclass(slots=True)
class Borrower:
    """A borrower's grants per funder (ms, grant) in the order of the log, and loans in the order of decisions."""

    grants: dict[str, list[tuple[int, CreditGrant]]] = field(default_factory=lambda: defaultdict(list))
    loans: list[Loan] = field(default_factory=list)


class History:
    """All of it. `expected` holds the dead letter that each bad record must have; problems found go to `report`."""

    def __init__(self, records: Iterable[Record], revisions: Sequence[Revision], prefix: str, report: Report) -> None:
        self.report = report
        self.revisions = {revision.id: revision for revision in revisions}
        self.borrowers: dict[str, Borrower] = defaultdict(Borrower)
        self.drawdowns: dict[DrawdownKey, Drawdown] = {}
        self.traceparents: dict[str, set[str | None]] = defaultdict(set)
        self._states: dict[int, dict[str, FunderState]] = {}
        self.expected: dict[Position, str] = {}
        self.inputs: dict[Position, Record] = {}
        topics: dict[str, list[Record]] = defaultdict(list)
        for record in sorted(records, key=lambda record: record.position):
            topics[record.topic].append(record)
        funders = {funder.id for revision in revisions for funder in revision.config.funders}
        grants = self._judge(topics["credit-grants"], funders, CreditGrant)
        requests = self._judge(topics["drawdown-requests"], funders, DrawdownRequest)
        outcomes = self._judge(topics["drawdown-outcomes"], funders, DrawdownOutcome)
        repayments = self._judge(topics["repayments"], funders, Repayment)
        self._judge(topics["capture-signals"], funders, CaptureSignal)
        self.dead_letters = [(origin(record, prefix), record) for record in topics["dead-letters"]]
        self._seen = {position: record.header("dlq.reason") for position, record in self.dead_letters}
        self._requests(requests)
        self._decisions(topics["routing-decisions"])
        self._grants(grants)
        self._outcomes(outcomes)
        self._repayments(repayments)
        self._outputs(topics["credit-applications"], CreditApplication)
        self.states = [(record.offset, state) for record, state in self._outputs(topics["funder-states"], FunderState)]

    def config(self, decision: Decision) -> RotationConfig:
        """The configuration the decision was made with; the first when it names one that does not exist."""
        return self.revisions.get(decision.config_revision, next(iter(self.revisions.values()))).config

    def configs(self, first: Decision, last: Decision | None = None) -> list[RotationConfig]:
        """Those that may have been in force from one decision to another, or ever since."""
        newest = max(self.revisions) if last is None else last.config_revision
        return [each.config for each in self.revisions.values() if first.config_revision <= each.id <= newest]

    def paused(self, version: int) -> frozenset[str]:
        """The funders that the ladder had paused as of `funder_states_version`."""
        return frozenset(id_ for id_, state in self._states_at(version).items() if state.state == "paused")

    def risks(self, grade: RiskGrade, version: int) -> dict[str, tuple[float, bool]]:
        """By funder, as of `funder_states_version`: what share of the borrowers of a grade it was expected to capture,
        and whether that was a mere suspicion."""
        states = self._states_at(version).items()
        return {id_: (state.capture_risk.get(grade, 0.0), state.state in ("normal", "watch")) for id_, state in states}

    def ever_paused(self, first: Decision, last: Decision) -> frozenset[str]:
        """The funders that the ladder had paused at any moment from one decision to another."""
        since, until = first.funder_states_version, last.funder_states_version
        later = [state for offset, state in self.states if since < offset <= until]
        return self.paused(since).union(state.funder_id for state in later if state.state == "paused")

    def weights(self, config: RotationConfig, grade: RiskGrade, version: int) -> dict[str, float]:
        """Each configured funder's share of the choice, exploration mixed in (contract, sections 3 and 8)."""
        states = self._states_at(version)
        raw = {}
        for funder in config.funders:
            state = states.get(funder.id)
            rate = state.pass_rates.get(grade) if state else None
            multiplier = state.traffic_multiplier if state else 1.0
            smoothed = funder.pass_rate_prior.rate if rate is None else rate
            raw[funder.id] = funder.weight * multiplier * smoothed**config.selection.pass_rate_exponent
            if config.selection.pacing and state:
                raw[funder.id] /= e**state.price
        total, explored = sum(raw.values()) or 1, config.selection.exploration
        return {id_: (1 - explored) * weight / total + explored / len(raw) for id_, weight in raw.items()}

    def _states_at(self, version: int) -> dict[str, FunderState]:
        """The last state of each funder up to the offset `version`."""
        if version not in self._states:
            self._states[version] = {state.funder_id: state for offset, state in self.states if offset <= version}
        return self._states[version]

    def _judge(self, records: list[Record], funders: set[str], kind: type[Event]) -> list[tuple[Record, Event]]:
        events = []
        for record in records:
            self.inputs[record.position] = record
            event = judge(record, kind, funders)
            if isinstance(event, Bad):
                self.expected[record.position] = event.reason
            else:
                events.append((record, event))
                self.traceparents[(record.key or b"").decode()].add(record.header("traceparent"))
        return events

    def _requests(self, events: list[tuple[Record, DrawdownRequest]]) -> None:
        for record, request in events:
            first = self.drawdowns.setdefault((request.customer_id, request.drawdown_id), Drawdown(request, record))
            if first.record is record:
                continue
            if content(first.request) == content(request):
                first.repeats += 1
            else:
                self.expected[record.position] = "conflicting_duplicate"

    def _decisions(self, records: list[Record]) -> None:
        known: dict[tuple[str, str, str], list[Decided]] = defaultdict(list)
        for record in records:
            decision = self._decode(record, Decision)
            if decision is None:
                continue
            drawdown = self.drawdowns.get((decision.customer_id, decision.drawdown_id))
            if drawdown is None:
                self.report.add("decision_without_request", decision.decision_id)
                continue
            copies = known[decision.customer_id, decision.drawdown_id, decision.decision_id]
            same = next((decided for decided in copies if decided.record.value == record.value), None)
            if same is not None:
                same.copies += 1
                continue
            if copies:
                self.report.add("repeat_differs", decision.decision_id)
            borrower = self.borrowers[decision.customer_id]
            decided = Decided(decision, record, time_ms(decision.decided_at), earlier=len(borrower.loans))
            copies.append(decided)
            drawdown.decided.append(decided)
            if decision.funder_id is not None:
                due = decided.decided_at + self.config(decision).reservation.ttl_seconds * 1000
                decided.loan = Loan(
                    decision.funder_id,
                    decision.drawdown_id,
                    decision.attempt,
                    decided.decided_at,
                    due,
                    drawdown.request.amount,
                )
                borrower.loans.append(decided.loan)

    def _grants(self, events: list[tuple[Record, CreditGrant]]) -> None:
        for record, grant in events:
            self.borrowers[grant.customer_id].grants[grant.funder_id].append((record.timestamp, grant))

    def _outcomes(self, events: list[tuple[Record, DrawdownOutcome]]) -> None:
        event_ids = set()
        for record, outcome in events:
            loans = self._loans(outcome)
            loan = next((loan for loan in loans if loan.attempt == outcome.attempt), None)
            if loan is None or self._unknown(record, [loan]):
                self.expected[record.position] = "unknown_drawdown"
                continue
            statuses = [status for _, status, _ in loan.outcomes]
            if outcome.status in statuses or (outcome.customer_id, outcome.event_id) in event_ids:
                continue
            if statuses and not (outcome.status == "disbursed" and statuses[-1] in LATE):
                self.expected[record.position] = "conflicting_duplicate"
                continue
            event_ids.add((outcome.customer_id, outcome.event_id))
            loan.outcomes.append((record.timestamp, outcome.status, outcome.amount or 0))
            self.report.late_disbursed += outcome.status == "disbursed" and (
                bool(statuses) or record.timestamp > loan.due
            )

    def _repayments(self, events: list[tuple[Record, Repayment]]) -> None:
        for record, repayment in events:
            loans = self._loans(repayment)
            if self._unknown(record, loans):
                self.expected[record.position] = "unknown_drawdown"
                continue
            for loan in loans:
                loan.repayments.append((record.timestamp, repayment.outstanding))

    def _loans(self, event: DrawdownOutcome | Repayment) -> list[Loan]:
        return [
            loan
            for loan in self.borrowers[event.customer_id].loans
            if loan.drawdown_id == event.drawdown_id and loan.funder_id == event.funder_id
        ]

    def _unknown(self, record: Record, loans: list[Loan]) -> bool:
        """Whether the record speaks of a drawdown never routed there.

        One that comes with a stamp before the decision may have been handled before or after it: what was done stands.
        """
        if any(loan.decided_at <= record.timestamp for loan in loans):
            return False
        return not loans or self._seen.get(record.position) == "unknown_drawdown"

    def _outputs(self, records: list[Record], kind: type[Output]) -> list[tuple[Record, Output]]:
        decoded = [(record, self._decode(record, kind)) for record in records if record.value is not None]
        return [(record, output) for record, output in decoded if output is not None]

    def _decode(self, record: Record, kind: type[Output]) -> Output | None:
        where = f"{record.topic}[{record.partition}]@{record.offset}"
        try:
            output = msgspec.json.decode(record.value or b"", type=kind)
            fields = tuple(msgspec.json.decode(record.value or b""))
        except msgspec.DecodeError as error:
            self.report.add("output_unreadable", where, str(error))
            return None
        key = getattr(output, "funder_id" if kind is FunderState else "customer_id")
        whole = tuple(name for name in kind.__struct_fields__ if name in fields or name not in OPTIONAL)
        if fields != whole or record.key != key.encode():
            self.report.add("output_unreadable", where, "field order or key")
        return output


def origin(record: Record, prefix: str) -> Position:
    """Where a dead letter says it came from; a place that cannot be when the headers are not there."""
    try:
        return (
            (record.header("dlq.topic") or "").removeprefix(prefix),
            int(record.header("dlq.partition") or -1),
            int(record.header("dlq.offset") or -1),
        )
    except ValueError:
        return ("", -1, -1)
