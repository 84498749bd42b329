"""Replay leads each attempt to the answer that it got, whatever the timestamps around it are."""

from agents.recorded import Log
from agents.replay import replay
from config.rotation import Revision
from config.settings import Settings
from rotation.clock import MINUTE
from rotation.plan import Plan
from rotation.policy import Policy
from tests.replay.partition import OnePartition
from tests.rotation.world import NO_ROTATION, T0, configuration, grant, outcome, request

ONE_A_DAY = {**NO_ROTATION, "funders.cf-west.quota": {"daily_amount": 500_000_000, "daily_count": 1}}
FIRST = Revision(id=1, sha256="abc", config=configuration(ONE_A_DAY), canonical=b"")


def test_held_and_routed_in_the_same_millisecond() -> None:
    """A hold for want of room, ended within the same millisecond of stream time, comes out as both decisions again."""
    partition = OnePartition(Plan(Policy(FIRST, {}, -1)))
    partition.batch(
        grant("cf-west", customer_id="ann"),
        grant("cf-west", customer_id="bob"),
        request("dd-ann", customer_id="ann"),
    )
    (held,) = partition.batch(request("dd-bob", customer_id="bob"))
    partition.batch(outcome("dd-ann", "cf-west", "declined", customer_id="ann"))
    (routed,) = partition.batch(grant("bank-east", customer_id="bob", status="declined"))
    assert (held.status, routed.status, held.decided_at) == ("held", "routed", routed.decided_at)

    log = Log(partition.records, FIRST)

    assert dict(replay(Settings(), log)) == log.recorded()


def test_an_outcome_after_the_expiry() -> None:
    """An outcome that came when stream time had passed the expiry starts no attempt, though stamped before it."""
    partition = OnePartition(Plan(Policy(FIRST, {}, -1)))
    (first,) = partition.batch(
        grant("cf-west", customer_id="ann"),
        grant("cf-north", customer_id="ann"),
        request("dd-1", customer_id="ann", expires=T0 + MINUTE),
    )
    partition.batch(grant("cf-west", customer_id="bob"), at=T0 + 2 * MINUTE)
    declined = outcome("dd-1", first.funder_id or "", "declined", customer_id="ann")
    assert not partition.batch(declined, at=T0)
    assert partition.batch(request("dd-2", customer_id="ann"), at=T0 + 3 * MINUTE)

    log = Log(partition.records, FIRST)

    assert dict(replay(Settings(), log)) == log.recorded()


def test_a_try_in_vain_that_only_the_rejection_tells_of() -> None:
    """Held for want of a grant, then of room, which no decision said: the rejection names the full funder again."""
    partition = OnePartition(Plan(Policy(FIRST, {}, -1)))
    partition.batch(grant("cf-west", customer_id="ann"), request("dd-ann", customer_id="ann"))
    (held,) = partition.batch(request("dd-bob", customer_id="bob", expires=T0 + MINUTE))
    assert partition.batch(grant("cf-west", customer_id="bob")) == []
    (rejected,) = partition.tick(T0 + MINUTE)
    assert (held.excluded["cf-west"], rejected.excluded["cf-west"]) == (["no_live_grant"], ["quota_exhausted"])

    log = Log(partition.records, FIRST)

    assert dict(replay(Settings(), log)) == log.recorded()
