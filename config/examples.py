"""The examples in a configuration, each decided by the core as a worker would, on an empty reservation book.

This is the one place where the configuration's reader asks the core. Recorded examples stay true: the core makes the
same decision of the same input for as long as logs are kept, or replay would break first.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec

from config.problems import Finding
from config.rotation import Example, Expected, Revision, RotationConfig
from rotation.book import MemoryBook
from rotation.clock import DAY
from rotation.decide import Steps
from rotation.events import DrawdownRequest, millis
from rotation.outputs import Decision
from rotation.policy import Policy
from rotation.state import Borrower, Grant, LedgerEntry
from rotation.turn import Turn
from rotation.waves import Life, run_against

_CUSTOMER = "example"


def failures(config: RotationConfig) -> list[Finding]:
    """What the examples of a configuration that is sound otherwise expect in vain."""
    policy = Policy(Revision(1, "", config, b""), {}, -1)
    return [
        Finding(("examples", index, "expect", *path), reason)
        for index, example in enumerate(config.examples)
        for path, reason in _disappointed(example.expect, _decide(policy, example))
    ]


def _decide(policy: Policy, example: Example) -> Decision:
    at = datetime.fromisoformat(example.at)
    request = DrawdownRequest(
        event_id=_CUSTOMER, occurred_at=at, customer_id=_CUSTOMER, **msgspec.structs.asdict(example.request)
    )
    turn = Turn(_CUSTOMER, _borrower(example, millis(at)), policy)
    run_against(MemoryBook(policy.limits), [Life(None, turn, _ask(turn, request))])
    return msgspec.json.decode(turn.decisions[-1].value, type=Decision)


def _ask(turn: Turn, request: DrawdownRequest) -> Steps[None]:
    yield from turn.handle(request, millis(request.occurred_at), [])


def _borrower(example: Example, at: int) -> Borrower:
    borrower = Borrower(
        grants={
            grant.funder: Grant("approved", grant.credit_limit, grant.apr_bp, at + DAY, at, [])
            for grant in example.grants
        },
        seen={grant.funder: at for grant in example.grants},
    )
    for number, past in enumerate(sorted(example.past, key=lambda past: -past.days_ago)):
        decided_at = at - round(past.days_ago * DAY)
        borrower.ledger.append(
            LedgerEntry(
                drawdown_id=f"past-{number}",
                attempt=1,
                funder_id=past.funder,
                decided_at=decided_at,
                due=decided_at,
                amount=past.owed,
                risk_grade=example.request.risk_grade,
                status=past.outcome,
            )
        )
        borrower.seen.setdefault(past.funder, decided_at)
    return borrower


def _disappointed(expected: Expected, decision: Decision) -> Iterator[Finding]:
    if expected.funder is not None and expected.funder != decision.funder_id:
        yield Finding(("funder",), f"{expected.funder} is expected, but {_told(decision, expected.funder)}")
    if expected.reason is not None and expected.reason not in decision.reasons:
        yield Finding(("reason",), f"{expected.reason} is expected, but {_told(decision, None)}")
    if expected.relaxed is not None and expected.relaxed != decision.relaxed:
        reason = f"{_listed(expected.relaxed)} should be given up, but {_listed(decision.relaxed)} is"
        yield Finding(("relaxed",), reason)
    for index, out in enumerate(expected.excluded):
        codes = decision.excluded.get(out.funder, [])
        if out.code not in codes:
            reason = f"{out.funder} should be out by {out.code}, but it is {_out(codes)}"
            yield Finding(("excluded", index), reason)


def _told(decision: Decision, instead_of: str | None) -> str:
    went = f"it goes to {decision.funder_id}" if decision.funder_id is not None else "nobody takes it"
    told = f"{went} ({', '.join(decision.reasons)})"
    if instead_of is None:
        return told
    return f"{told}; {instead_of} is {_out(decision.excluded.get(instead_of, []))}"


def _out(codes: list[str]) -> str:
    return f"out by {_listed(codes)}" if codes else "not out"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "nothing"
