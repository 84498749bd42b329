"""Funders: what they answer to an application, to a drawdown, and how their loans are repaid.

Pure: chance and time come in. Everything a funder does follows from its entry in the rotation configuration.
"""

from collections.abc import Sequence
from random import Random
from typing import Literal

from config.rotation import Funder
from market.borrowers import Borrower
from market.publication import moment
from rotation.events import CreditGrant, DrawdownOutcome, DrawdownRequest, Repayment
from rotation.outputs import Decision

OutcomeStatus = Literal["disbursed", "declined", "cancelled", "timed_out", "failed"]
RepaymentKind = Literal["instalment", "settled", "settled_early"]
LIMITS = {"A": 8_000_000, "B": 5_000_000, "C": 3_000_000, "D": 1_500_000, "E": 800_000}
GRADE_EFFECT = {"A": 0.08, "B": 0.04, "C": -0.02, "D": -0.1, "E": -0.18}
YEAR_MS = 365 * 86_400_000
SHORT_LINE_MS = 30_000
ABOVE_CAP = 0.05
INSTALMENT_MS = (3_000, 8_000)


def welcomes(funder: Funder, borrower: Borrower) -> bool:
    """Whether the borrower is of the kind the funder lends to."""
    return (
        (funder.regions == "all" or borrower.region in funder.regions)
        and borrower.grade in funder.grades
        and funder.age[0] <= borrower.age <= funder.age[1]
    )


def first_applications(funders: Sequence[Funder], borrower: Borrower, rng: Random) -> list[Funder]:
    """The two to five funders at which a new borrower has a line: nearly all lend to such a borrower."""
    suitable = [funder for funder in funders if welcomes(funder, borrower)]
    others = [funder for funder in funders if not welcomes(funder, borrower)]
    chosen = rng.sample(suitable, min(len(suitable), rng.randint(2, 5)))
    if others and (len(chosen) < 2 or rng.random() < 0.1):
        chosen.append(rng.choice(others))
    return chosen


def answer_application(funder: Funder, borrower: Borrower, event_id: str, rng: Random, at: int) -> CreditGrant:
    """The funder's answer at `at` (ms): a line that fits the grade, or no."""
    accepted = rng.random() < (0.85 if welcomes(funder, borrower) else 0.3)
    answer = CreditGrant(
        event_id=event_id,
        occurred_at=moment(at),
        customer_id=borrower.customer_id,
        funder_id=funder.id,
        status="declined",
        region=borrower.region,
        risk_grade=borrower.grade,
    )
    if not accepted:
        return answer
    above_cap = rng.random() < ABOVE_CAP
    lasts = SHORT_LINE_MS if rng.random() < 0.03 else YEAR_MS // 2
    limit = LIMITS[borrower.grade] * rng.uniform(0.5, 1.5)
    return CreditGrant(
        event_id=event_id,
        occurred_at=moment(at),
        customer_id=borrower.customer_id,
        funder_id=funder.id,
        status="approved",
        credit_limit=max(500_000, round(limit / 100_000) * 100_000),
        apr_bp=rng.randrange(2_401, 3_600) if above_cap else rng.randrange(1_080, 2_401, 20),
        expires_at=moment(at + lasts),
        region=borrower.region,
        risk_grade=borrower.grade,
    )


def outcomes(
    funder: Funder, borrower: Borrower, request: DrawdownRequest, decision: Decision, rng: Random, at: int, ttl_ms: int
) -> list[tuple[int, DrawdownOutcome]]:
    """What becomes of a drawdown that was routed to the funder at `at`: when (ms), and the outcome.

    Mostly one quick answer. Some come after the reservation has ended, some loans are paid out after all when the
    platform had already given up waiting.
    """
    passes = min(0.98, max(0.05, funder.pass_rate_prior.rate + GRADE_EFFECT[borrower.grade] + 0.1 * borrower.quality))
    roll = rng.random()
    answers: list[tuple[int, OutcomeStatus]]
    if roll < 0.04:
        late: list[tuple[int, OutcomeStatus]] = [(at + 4_000, "timed_out")] if roll < 0.02 else [(at + 600, "failed")]
        answers = [*late, (late[0][0] + 1_500, "disbursed")] if rng.random() < 0.15 else late
    else:
        delay = ttl_ms + rng.randrange(1_000, 4_000) if rng.random() < 0.01 else rng.randrange(200, 1_800)
        refused: OutcomeStatus = "cancelled" if rng.random() < 0.25 else "declined"
        answers = [(at + delay, "disbursed" if rng.random() < passes else refused)]
    paid_out = request.amount - (10_000 if rng.random() < 0.02 else 0)
    return [
        (
            when,
            DrawdownOutcome(
                event_id=f"{decision.drawdown_id}-{decision.attempt}-{status}",
                occurred_at=moment(when),
                drawdown_id=decision.drawdown_id,
                customer_id=decision.customer_id,
                funder_id=funder.id,
                attempt=decision.attempt,
                status=status,
                amount=paid_out if status == "disbursed" else None,
            ),
        )
        for when, status in answers
    ]


def repayments(loan: DrawdownOutcome, borrower: Borrower, rng: Random, at: int) -> list[tuple[int, Repayment]]:
    """How a loan paid out at `at` is repaid: when (ms), and the event. Bad borrowers are overdue on the way."""
    owed, instalments = loan.amount or 0, rng.randint(1, 4)
    events: list[tuple[int, Repayment]] = []
    while owed:
        at += rng.randrange(*INSTALMENT_MS)
        overdue = rng.random() < 0.08 * (1 - borrower.quality)
        early = not overdue and instalments > 1 and rng.random() < 0.05
        principal = 0 if overdue else owed if early or instalments == 1 else owed // instalments
        owed -= principal
        paid: RepaymentKind = "instalment" if owed else "settled_early" if early else "settled"
        events.append(
            (
                at,
                Repayment(
                    event_id=f"{loan.drawdown_id}-{loan.attempt}-paid-{len(events) + 1}",
                    occurred_at=moment(at),
                    drawdown_id=loan.drawdown_id,
                    customer_id=loan.customer_id,
                    funder_id=loan.funder_id,
                    kind="overdue" if overdue else paid,
                    principal=principal,
                    outstanding=owed,
                    days_past_due=5 if overdue else None,
                ),
            )
        )
        instalments -= not overdue
    return events
