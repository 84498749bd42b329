"""On the wall clock time passes by itself, and a record from the future moves nothing."""

from rotation.clock import MINUTE, rfc3339
from tests.rotation.world import SECOND, grant, request
from tests.worker.letters import refuse, the_letter
from tests.worker.service import TRACE, Service, item_of, now

#: Where no other test needs time to stand where the clock does.
AHEAD = 3


def test_time_alone_ends_a_hold(pair: Service) -> None:
    """Without any record a held drawdown is rejected after its expiry, stamped with that very time."""
    at, drawdown_id = now(), f"dd-{pair.number()}"
    pair.tell(request(drawdown_id, at, expires=at + 3 * SECOND, customer_id=pair.customer(0)), headers=TRACE)
    _, rejected = pair.decisions(drawdown_id, 2)
    assert (rejected.status, rejected.reasons) == ("rejected", ["expired"])
    assert rejected.decided_at == rejected.expires_at == rfc3339(at + 3 * SECOND)
    (told,) = (r for r in pair.said("routing-decisions") if r.value == pair.values(drawdown_id)[1])
    assert [each for each in told.headers if each in TRACE] == list(TRACE)


def test_a_record_from_the_future(pair: Service) -> None:
    """More than 5 minutes ahead a record is a dead letter, and what is held on its partition does not expire by it."""
    at, drawdown_id = now(), f"dd-{pair.number()}"
    held, hasty = pair.customer(AHEAD), pair.customer(AHEAD)
    pair.tell(request(drawdown_id, at, expires=at + 5 * MINUTE, customer_id=held))
    pair.decisions(drawdown_id)
    refused = refuse(pair, item_of(grant("cf-west", at + 6 * MINUTE, customer_id=hasty)), "timestamp_in_future")
    the_letter(pair, refused)
    pair.tell(grant("cf-west", at, customer_id=held))
    _, routed = pair.decisions(drawdown_id, 2)
    assert (routed.status, routed.funder_id) == ("routed", "cf-west")


def test_a_record_up_to_five_minutes_ahead(pair: Service) -> None:
    """It is taken, and moves stream time on its partition: what is held there expires by it, at its own time."""
    at, drawdown_id = now(), f"dd-{pair.number()}"
    held, hasty = pair.customer(AHEAD), pair.customer(AHEAD)
    pair.tell(request(drawdown_id, at, expires=at + 3 * MINUTE, customer_id=held))
    pair.decisions(drawdown_id)
    pair.tell(grant("cf-west", at + 4 * MINUTE, customer_id=hasty))
    _, rejected = pair.decisions(drawdown_id, 2)
    assert (rejected.reasons, rejected.decided_at) == (["expired"], rfc3339(at + 3 * MINUTE))
    assert pair.letters_of(hasty) == []
