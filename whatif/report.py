"""From what the replay of a what-if counted to its report."""

from collections.abc import Iterator

from config.rotation import Funder, Revision
from rotation.clock import rfc3339
from whatif.book import Account
from whatif.estimate import Estimates, estimate
from whatif.history import History
from whatif.lane import Outcome
from whatif.tally import Tally
from whatif.told import Evidence, FunderSide, MovedTo, Outcomes, Report, Side, Use, Window

#: With outcomes that weigh less than so many equal ones, a mean of them is not relied on.
LEAST_EFFECTIVE = 100
#: A funder to which less than this share of all drawdowns moves does not decide whether there is an answer.
_MATTERS = 0.005
#: With more than this share of drawdowns of which nothing is known there is no answer.
_MOST_UNCOVERED = 0.05
_FULL = 0.99


def report(outcome: Outcome, history: History, known_since: int = 0) -> Report:
    """The report of a what-if; `known_since` is from when on what happened to drawdowns was read (ms)."""
    estimates = estimate(outcome.samples)
    why = list(_doubts(estimates, history))
    return Report(
        draft_sha256=history.draft.sha256,
        active_revision=history.active.id,
        answer="no" if why else "yes",
        why=why,
        before=_side(outcome.before, history.active),
        after=_side(outcome.after, history.draft),
        outcomes=Outcomes(*estimates.values),
        evidence=Evidence(
            same=estimates.same,
            moved=estimates.moved,
            unserved=estimates.unserved,
            uncovered=estimates.uncovered,
            in_flight=outcome.in_flight,
            moved_to={
                history.funder_ids[place]: MovedTo(
                    each.drawdowns, each.outcomes, each.effective, each.means[0], each.intervals[0]
                )
                for place, each in estimates.moved_to.items()
            },
            answers=outcome.answers,
            answers_drawn=outcome.guessed,
            older=outcome.older,
        ),
        window=Window(rfc3339(history.since), rfc3339(known_since)) if history.since else None,
    )


def _doubts(estimates: Estimates, history: History) -> Iterator[str]:
    drawdowns = estimates.same + estimates.moved + estimates.unserved + estimates.uncovered
    if not drawdowns:
        yield "no drawdown of the record was decided and has its outcome"
        return
    if estimates.uncovered > _MOST_UNCOVERED * drawdowns:
        part = f"{estimates.uncovered} of {drawdowns} drawdowns ({estimates.uncovered / drawdowns:.1%})"
        yield f"{part} go to a funder that the record could not have chosen for them: no recorded outcome tells of them"
    for place, moved in estimates.moved_to.items():
        if moved.drawdowns >= _MATTERS * drawdowns and moved.effective < LEAST_EFFECTIVE:
            told = f"what the record tells of it weighs as much as {moved.effective:.0f} outcomes"
            where = history.funder_ids[place]
            yield f"{moved.drawdowns} drawdowns move to {where}, but {told}, and {LEAST_EFFECTIVE} are needed"


def _side(tally: Tally, revision: Revision) -> Side:
    routed = sum(count for count, _ in tally.routed.values())
    funders = {funder.id: funder for funder in revision.config.funders}
    named = sorted(funders.keys() | tally.routed.keys())
    borrowers = sum(tally.funders.values())
    return Side(
        drawdowns=tally.requests,
        served=tally.served,
        unserved=tally.requests - tally.served,
        funders={
            funder_id: FunderSide(
                routed=tally.routed.get(funder_id, (0, 0))[0],
                share=tally.routed.get(funder_id, (0, 0))[0] / routed if routed else 0.0,
                amount=tally.routed.get(funder_id, (0, 0))[1],
                use=_use(tally.held, funders[funder_id]) if funder_id in funders else None,
            )
            for funder_id in named
        },
        relaxed=dict(sorted(tally.relaxed.items())),
        top_share=tally.top_sum / sum(tally.tops) if sum(tally.tops) else 0.0,
        top_shares=tally.tops,
        funders_per_borrower=sum(n * count for n, count in tally.funders.items()) / borrowers if borrowers else 0.0,
    )


def _use(held: dict[Account, tuple[int, int]], funder: Funder) -> Use | None:
    """Over the days on which anybody took anything; None when the quota is nothing at all."""
    quota = funder.quota
    days = {day for _, day in held if day}
    if not days or not quota.daily_amount or not quota.daily_count:
        return None
    used = [held.get((funder.id, day), (0, 0)) for day in days]
    shares = [max(amount / quota.daily_amount, count / quota.daily_count) for amount, count in used]
    return Use(sum(shares) / len(shares), max(shares), sum(share >= _FULL for share in shares))
