"""Where a borrower should apply for a line next: a rotation needs grants to rotate over.

Every application lets one more funder see the borrower, so advice is given one funder at a time, within the
exposure budget, and only where the funder's own rules would take the borrower.
"""

from hashlib import blake2b

from rotation.choice import rank
from rotation.clock import DAY, rfc3339
from rotation.ledger import live_grants
from rotation.outputs import CreditApplication
from rotation.policy import FunderPolicy, Policy
from rotation.state import Borrower

#: Advice that brought no answer for this long is taken as not followed.
ANSWER_WITHIN = 7 * DAY
#: A funder that declined or revoked is not advised again for this long.
REAPPLY_AFTER = 90 * DAY


def advise(customer_id: str, borrower: Borrower, policy: Policy, now: int) -> CreditApplication | None:
    """The next application to advise, when live grants are below `rotation.min_live_grants`; else None.

    None too when earlier advice still waits for its answer, or when the borrower's region or grade is unknown.
    """
    if policy.config.rotation.min_live_grants == 0:
        return None
    grants = live_grants(borrower, now)
    safe = policy.roster.everyone & ~policy.risky[borrower.risk_grade]
    if (policy.roster.set_of(grants) & safe).bit_count() >= policy.config.rotation.min_live_grants:
        return None
    if any(at + ANSWER_WITHIN > now for at in borrower.advised.values()):
        return None
    trusted = policy.roster.members(safe)
    held = any(drawdown.status == "held" for drawdown in borrower.drawdowns.values())
    fitting = [
        funder.funder_id
        for funder in policy.funders
        if funder.funder_id not in grants and funder.funder_id in trusted and _would_take(funder, borrower, now)
    ]
    budget = policy.config.rotation.exposure_budget
    if budget is not None and not held:
        since = now - budget.within_days * DAY
        exposed = {funder_id for funder_id, at in borrower.seen.items() if at > since}
        if len(exposed) >= budget.funders:
            fitting = [funder_id for funder_id in fitting if funder_id in exposed]
    if not fitting or borrower.risk_grade is None:
        return None
    seed = policy.config.selection.seed
    funder_id = rank(fitting, policy.weights(borrower.risk_grade), seed, customer_id, len(grants) + 1)[0][0]
    borrower.advised = {funder_id: now}
    return CreditApplication(
        application_id=_application_id(customer_id, funder_id, now),
        customer_id=customer_id,
        funder_id=funder_id,
        reason="drawdown_held" if held else "below_min_live_grants",
        occurred_at=rfc3339(now),
    )


def _would_take(funder: FunderPolicy, borrower: Borrower, now: int) -> bool:
    refused = borrower.grants.get(funder.funder_id)
    return (
        not funder.paused
        and borrower.region is not None
        and (funder.regions is None or borrower.region in funder.regions)
        and borrower.risk_grade in funder.grades
        and (borrower.age is None or funder.age[0] <= borrower.age <= funder.age[1])
        and not (
            refused is not None
            and refused.status in ("declined", "revoked")
            and refused.occurred_at + REAPPLY_AFTER > now
        )
    )


def _application_id(customer_id: str, funder_id: str, now: int) -> str:
    return "app-" + blake2b(f"{customer_id}\0{funder_id}\0{now}".encode(), digest_size=12).hexdigest()
