"""The checks of one drawdown: its decisions in order, and each against the rules."""

from collections.abc import Iterator
from itertools import pairwise
from math import isclose

from config.rotation import Funder, RotationConfig
from market.audit.history import Decided, Drawdown, History
from market.audit.loans import Loan
from market.audit.log import time_ms
from market.audit.room import Rooms
from market.audit.rules import ROOM_CODES, ROTATION_RULES, Codes, Situation
from rotation.events import CreditGrant, millis
from rotation.outputs import Decision

NEXT_ATTEMPT = ("declined", "timed_out", "failed")


class Checks:
    """Judges every drawdown of a history; what it finds goes to the history's report."""

    def __init__(self, history: History, rooms: Rooms, *, ended_at: int, slack_ms: int, crashed: bool) -> None:
        self.history, self.rooms, self.report = history, rooms, history.report
        self.ended_at, self.slack_ms, self.crashed = ended_at, slack_ms, crashed

    def drawdown(self, drawdown: Drawdown) -> None:
        """Everything about one drawdown."""
        report, where = self.report, drawdown.request.drawdown_id
        report.drawdowns += 1
        report.repeated_requests += drawdown.repeats
        if not drawdown.decided:
            report.add("unaccounted", where, "no decision")
            return
        self._copies(drawdown)
        self._attempts(drawdown)
        for before, decided in zip([None, *drawdown.decided], drawdown.decided, strict=False):
            report.decisions[decided.decision.status] += 1
            report.relaxed.update(decided.decision.relaxed if decided.decision.status == "routed" else ())
            self._decision(drawdown, decided, before)

    def _copies(self, drawdown: Drawdown) -> None:
        extra = sum(decided.copies - 1 for decided in drawdown.decided)
        self.report.copies += extra
        if extra < drawdown.repeats:
            self.report.add("repeat_missing", drawdown.request.drawdown_id)
        elif extra > drawdown.repeats and not self.crashed:
            self.report.add("repeat_uncalled", drawdown.request.drawdown_id)

    def _attempts(self, drawdown: Drawdown) -> None:
        report, decided = self.report, drawdown.decided
        attempts = sorted({d.decision.attempt for d in decided})
        order = [d.decision.attempt for d in decided]
        if attempts != list(range(1, len(attempts) + 1)) or order != sorted(order):
            report.add("attempts", drawdown.request.drawdown_id, f"decided in the order {order}")
            return
        for attempt in attempts:
            self._one_attempt(drawdown, [d for d in decided if d.decision.attempt == attempt])
        last = decided[-1]
        if last.decision.status == "held":
            if self._expiry(drawdown) <= self.ended_at:
                report.add("unaccounted", last.decision.decision_id, "still on hold after its expiry")
            else:
                report.still_held += 1
        self._next_attempt_missing(drawdown, last)

    def _one_attempt(self, drawdown: Drawdown, decided: list[Decided]) -> None:
        report, where = self.report, decided[0].decision.decision_id.removesuffix(":held")
        statuses = [d.decision.status for d in decided]
        if len({d.decision.funder_id for d in decided if d.decision.funder_id}) > 1:
            report.add("two_funders", where)
        if len(statuses) - statuses.count("held") > 1:
            report.add("two_terminals", where)
        if "held" in statuses[1:]:
            report.add("held_twice", where)

    def _next_attempt_missing(self, drawdown: Drawdown, last: Decided) -> None:
        if last.loan is None or not last.loan.outcomes:
            return
        at, status, _ = last.loan.outcomes[0]
        attempts_left = all(last.decision.attempt < each.attempts.max for each in self.history.configs(last.decision))
        in_time = at + self.slack_ms < min(self._expiry(drawdown), self.ended_at)
        called_for = status in NEXT_ATTEMPT and not self._has_money(drawdown, at + self.slack_ms)
        if called_for and attempts_left and in_time:
            self.report.add("unaccounted", last.decision.decision_id, f"{status}, but no next attempt")

    def _decision(self, drawdown: Drawdown, decided: Decided, before: Decided | None) -> None:
        decision, report = decided.decision, self.report
        where = decision.decision_id
        expected_id = f"{decision.drawdown_id}:{decision.attempt}" + (":held" if decision.status == "held" else "")
        if decision.decision_id != expected_id:
            report.add("decision_id", where)
        if decided.record.partition != drawdown.record.partition:
            report.add("output_unreadable", where, "on another partition than its request")
        self._cause(drawdown, decided, before)
        revision = self.history.revisions.get(decision.config_revision)
        if revision is None or revision.sha256 != decision.config_sha256:
            report.add("config_revision", where)
        config = self.history.config(decision)
        self._expires(drawdown, decided)
        self._status(decision)
        new_attempt = before is None or decision.attempt > before.decision.attempt
        if new_attempt and decision.attempt > config.attempts.max:
            report.add("attempts", where, "more than the maximum")
        if decision.status != "rejected":
            self._funders(drawdown, decided, config)
        elif decision.reasons == ["expired"] and before is not None:
            self._missed_wakeup(drawdown, before, decided)

    def _cause(self, drawdown: Drawdown, decided: Decided, before: Decided | None) -> None:
        decision, where = decided.decision, decided.decision.decision_id
        cause_at = drawdown.record.timestamp
        if before is not None:
            cause_at = before.decided_at
            if decision.attempt > before.decision.attempt:
                outcomes = before.loan.outcomes if before.loan else []
                if not outcomes or outcomes[0][1] not in NEXT_ATTEMPT:
                    self.report.add("attempts", where, "no outcome calls for it")
                else:
                    cause_at = outcomes[0][0]
        if decided.decided_at < cause_at:
            self.report.add("decided_too_early", where)
        trace = decided.record.header("traceparent")
        known = self.history.traceparents[decision.customer_id] | {None}
        if trace not in known or (before is None and trace != drawdown.record.header("traceparent")):
            self.report.add("trace_lost", where)

    def _expires(self, drawdown: Drawdown, decided: Decided) -> None:
        decision, where, expiry = decided.decision, decided.decision.decision_id, self._expiry(drawdown)
        if time_ms(decision.expires_at) != expiry:
            self.report.add("expires_at", where)
        if decision.status != "rejected" and decided.decided_at > expiry:
            self.report.add("routed_when_expired", where, f"{decision.status} after expiry")
        if decision.status == "rejected" and decided.decided_at < expiry:
            self.report.add("routed_when_expired", where, "rejected before expiry")
        if decision.reasons == ["expired"] and decided.decided_at != expiry:
            self.report.add("routed_when_expired", where, "not stamped with its due time")

    def _status(self, decision: Decision) -> None:
        where, reasons = decision.decision_id, decision.reasons
        agreed = set.intersection(*map(set, decision.excluded.values())) if decision.excluded else set()
        explained = {
            "routed": reasons[:1] in (["only_candidate"], ["ranked_first"])
            and reasons[1:] == (["relaxed"] if decision.relaxed else []),
            "held": len(reasons) == 1 and reasons[0] in {"no_candidate", *agreed},
            "rejected": reasons in (["expired"], ["request_expired"]),
        }[decision.status]
        if not explained or (decision.status == "routed") != (decision.funder_id is not None):
            self.report.add("status_reasons", where, f"{decision.status} because of {reasons}")

    def _funders(self, drawdown: Drawdown, decided: Decided, config: RotationConfig) -> None:
        decision, report, where = decided.decision, self.report, decided.decision.decision_id
        borrower = self.history.borrowers[decision.customer_id]
        situation = Situation(
            config,
            drawdown.request,
            borrower,
            borrower.loans[: decided.earlier],
            decision.attempt,
            decided.decided_at,
            self.slack_ms,
            self.history.paused(decision.funder_states_version),
            self.history.risks(drawdown.request.risk_grade, decision.funder_states_version),
        )
        ledgers = situation.ledgers()
        report.unchecked += ledgers is None
        candidates = [candidate.funder_id for candidate in decision.candidates]
        if sorted([*candidates, *decision.excluded]) != sorted(funder.id for funder in config.funders):
            report.add("candidates", where, "not every funder once")
            return
        if decision.funder_id != next(iter(candidates), None):
            report.add("candidates", where, "the chosen is not the first")
        for funder in config.funders:
            codes = situation.codes(funder, ledgers)
            if funder.id in decision.excluded:
                self._excluded(decided, drawdown, funder, codes)
            else:
                self._candidate(decision, funder, codes)
        self._relaxed(decision, situation, ledgers)
        self._propensities(decision, drawdown, config)

    def _candidate(self, decision: Decision, funder: Funder, codes: Codes) -> None:
        for code in sorted(codes.must.difference(decision.relaxed)):
            kind = "rotation_rule" if code in ROTATION_RULES else "hard_rule"
            self.report.add(kind, decision.decision_id, f"{funder.id}: {code}")

    def _excluded(self, decided: Decided, drawdown: Drawdown, funder: Funder, codes: Codes) -> None:
        decision = decided.decision
        listed = set(decision.excluded[funder.id])
        full = self.rooms.possibly_full(funder, decided.decided_at, drawdown.request.amount)
        implausible = listed - codes.may.difference(decision.relaxed) - full
        if implausible or not listed:
            detail = f"{funder.id}: {', '.join(sorted(implausible)) or 'no code'}"
            self.report.add("implausible_code", decision.decision_id, detail)
        missing = codes.must.difference(decision.relaxed) - listed
        if missing:
            self.report.add("missing_code", decision.decision_id, f"{funder.id}: {', '.join(sorted(missing))}")

    def _relaxed(self, decision: Decision, situation: Situation, ledgers: list[list[Loan]] | None) -> None:
        rotation = situation.config.rotation
        order = [rule for rule in rotation.relax_order if getattr(rotation, rule) is not None]
        relaxed = decision.relaxed
        level = len(order) if decision.status == "held" else len(relaxed)
        if relaxed != order[:level]:
            self.report.add("relaxed", decision.decision_id, f"{relaxed} with the order {order}")
        elif relaxed and decision.funder_id is not None and ledgers is not None:
            chosen = next(funder for funder in situation.config.funders if funder.id == decision.funder_id)
            if relaxed[-1] not in situation.codes(chosen, ledgers).may:
                self.report.add("relaxed", decision.decision_id, f"{relaxed[-1]} did not stand in the way")

    def _propensities(self, decision: Decision, drawdown: Drawdown, config: RotationConfig) -> None:
        given = {candidate.funder_id: candidate.propensity for candidate in decision.candidates}
        passed_over = [codes for codes in decision.excluded.values() if codes and set(codes) <= set(ROOM_CODES)]
        total = sum(given.values())
        weights = self.history.weights(config, drawdown.request.risk_grade, decision.funder_states_version)
        ratios_right = all(
            isclose(given[a] * weights[b], given[b] * weights[a], rel_tol=1e-6) for a, b in pairwise(given)
        )
        sum_right = isclose(total, 1, rel_tol=1e-6) if given and not passed_over else total <= 1 + 1e-6
        if not ratios_right or not sum_right or any(not 0 < share <= 1 + 1e-9 for share in given.values()):
            self.report.add("propensity", decision.decision_id)

    def _missed_wakeup(self, drawdown: Drawdown, held: Decided, expired: Decided) -> None:
        """A grant came that would have served it, whatever configuration was in force at that moment."""
        borrower = self.history.borrowers[held.decision.customer_id]
        earlier = borrower.loans[: expired.earlier]
        for funder_id, grants in borrower.grants.items():
            for came_at in _news(grants):
                at = came_at + self.slack_ms
                if not held.decided_at < came_at or at >= expired.decided_at or self._has_money(drawdown, at):
                    continue
                attempt, paused = held.decision.attempt, self.history.ever_paused(held.decision, expired.decision)
                situations = [
                    Situation(config, drawdown.request, borrower, earlier, attempt, at, self.slack_ms, paused, {})
                    for config in self.history.configs(held.decision, expired.decision)
                ]
                if all(self._serves(funder_id, situation) for situation in situations):
                    self.report.add("missed_wakeup", held.decision.decision_id, funder_id)
                    return

    def _serves(self, funder_id: str, now: Situation) -> bool:
        """Whether nothing stands in the funder's way, once every rotation rule is given up; none may be kept."""
        rotation = now.config.rotation
        kept = any(getattr(rotation, rule) is not None and rule not in rotation.relax_order for rule in ROTATION_RULES)
        funder = next((funder for funder in now.config.funders if funder.id == funder_id), None)
        if kept or funder is None or self.rooms.possibly_full(funder, now.at, now.request.amount):
            return False
        return not now.codes(funder, None).may.difference(ROTATION_RULES)

    def _has_money(self, drawdown: Drawdown, at: int) -> bool:
        """Whether an attempt may be known at `at` (ms) to be disbursed after all: then no further one is made."""
        loans = [decided.loan for decided in drawdown.decided if decided.loan is not None]
        return any(status == "disbursed" and told_at <= at for loan in loans for told_at, status, _ in loan.outcomes)

    def _expiry(self, drawdown: Drawdown) -> int:
        """When the drawdown expires (ms): by the configuration under which it was first decided, if it does not say."""
        request = drawdown.request
        if request.expires_at is not None:
            return millis(request.expires_at)
        return millis(request.occurred_at) + self.history.config(drawdown.decided[0].decision).holding.seconds * 1000


def _news(grants: list[tuple[int, CreditGrant]]) -> Iterator[int]:
    """When each grant of one funder came, but for repeats and those older than what was known: they change nothing."""
    known: list[CreditGrant] = []
    for came_at, grant in grants:
        if all(each.event_id != grant.event_id and each.occurred_at <= grant.occurred_at for each in known):
            yield came_at
        known.append(grant)
