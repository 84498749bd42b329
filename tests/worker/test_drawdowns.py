"""A drawdown's life on the stream clock: what wakes it, what follows an answer, and what is told along the way."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from rotation.clock import MINUTE, rfc3339
from rotation.outputs import CreditApplication, Decision, FunderState
from tests.processes import until
from tests.rotation.world import HOUR, SECOND, funder_state, grant, outcome, request
from tests.worker.service import TRACE, Headers, Item, Service, funder

RATE, STRENGTH = 0.71, 50  # of cf-west in the shipped configuration


def new_borrower(service: Service, *funders: str, at: int, grade: str = "A", **more: Any) -> str:
    """A borrower with a live grant at each of the funders."""
    customer_id = service.customer()
    for funder_id in funders:
        service.tell(grant(funder_id, at, customer_id=customer_id, risk_grade=grade, **more))
    service.settle(customer_id)
    return customer_id


def pass_time(service: Service, at: int) -> None:
    """Bring every partition to `at`, by requests that nobody can serve and that are expired at once."""
    for partition in range(service.settings.partitions):
        customer_id = service.customer(partition)
        service.tell(request(f"dd-time-{customer_id}", at, expires=at, customer_id=customer_id))


def drawdown(service: Service) -> str:
    """An id that nobody else has."""
    return f"dd-new-{service.number()}"


def headers_of(service: Service, drawdown_id: str) -> list[Headers]:
    """The trace headers of each decision about a drawdown."""
    names = dict(TRACE)
    return [
        tuple(each for each in record.headers if each[0] in names)
        for record in service.said("routing-decisions")
        if json.loads(record.value or b"")["drawdown_id"] == drawdown_id
    ]


def applications(service: Service, customer_id: str) -> list[CreditApplication]:
    """The advice that a borrower got so far."""
    told = [record.value for record in service.said("credit-applications") if record.key == customer_id.encode()]
    return [msgspec.json.decode(value or b"", type=CreditApplication) for value in told]


def wake_by_state(service: Service) -> None:
    """cf-west is paused by the response ladder no more."""
    service.set_state(funder_state("cf-west"))


def wake_by_revision(service: Service) -> None:
    """cf-west is paused by the configuration no more."""
    service.configure(lambda document: None)


def pause_by_state(service: Service) -> None:
    """The response ladder pauses cf-west."""
    service.set_state(funder_state("cf-west", "paused", 0.0))


def pause_by_revision(service: Service) -> None:
    """The configuration pauses cf-west."""
    service.configure(lambda document: funder(document, "cf-west").update(status="paused"))


@pytest.mark.parametrize(
    ("pause", "wake"), [(pause_by_state, wake_by_state), (pause_by_revision, wake_by_revision)], ids=["state", "config"]
)
def test_a_paused_funder_that_comes_back(
    stream: Service, pause: Callable[[Service], None], wake: Callable[[Service], None]
) -> None:
    """What is held for a paused funder is routed when a funder state, or a revision, says that it serves again.

    The decisions name the states' version and the revision under which they were made, and keep the request's trace.
    """
    at = stream.day()
    customer_id, drawdown_id = new_borrower(stream, "cf-west", at=at), drawdown(stream)
    pause(stream)
    stream.wait_guided()
    stream.tell(request(drawdown_id, at + 1, customer_id=customer_id), headers=TRACE)
    (held,) = stream.decisions(drawdown_id)
    wake(stream)
    (_, routed) = stream.decisions(drawdown_id, 2)
    assert (held.status, held.reasons) == ("held", ["no_candidate"])
    assert held.excluded["cf-west"] == ["funder_paused"]
    assert (routed.status, routed.funder_id, routed.decided_at) == ("routed", "cf-west", rfc3339(at + 1))
    assert routed.config_revision == stream.revision
    assert routed.funder_states_version >= stream.states_version
    assert (held.config_revision, held.funder_states_version) != (routed.config_revision, routed.funder_states_version)
    assert headers_of(stream, drawdown_id) == [TRACE, TRACE]


def test_a_broken_funder_state_is_refused(stream: Service) -> None:
    """It is counted and changes nothing, whatever it says."""
    sample = "loanrouter_funder_states_refused_total"
    before = stream.workers.metric("only", sample)
    broken = (b"{", b'{"funder_id":"cf-west","state":"paused"}', None)
    stream.publish(*(Item("funder-states", value, b"cf-west") for value in broken))
    until(lambda: stream.workers.metric("only", sample) == before + len(broken))
    at, drawdown_id = stream.day(), drawdown(stream)
    customer_id = new_borrower(stream, "cf-west", at=at)
    stream.tell(request(drawdown_id, at, customer_id=customer_id))
    assert stream.decisions(drawdown_id)[0].funder_id == "cf-west"


def test_time_alone_wakes_at_opening_time(stream: Service) -> None:
    """Held while its funder is closed, a drawdown is routed at the opening time, stamped with that, however late."""
    opening = stream.day() - 8 * HOUR  # 06:00 in Shanghai
    customer_id, drawdown_id = new_borrower(stream, "bank-east", at=opening - HOUR), drawdown(stream)
    stream.tell(request(drawdown_id, opening - HOUR, expires=opening + HOUR, customer_id=customer_id), headers=TRACE)
    (held,) = stream.decisions(drawdown_id)
    pass_time(stream, opening + HOUR // 2)
    (_, routed) = stream.decisions(drawdown_id, 2)
    assert held.excluded["bank-east"] == ["closed"]
    assert (routed.funder_id, routed.decided_at) == ("bank-east", rfc3339(opening))
    assert headers_of(stream, drawdown_id) == [TRACE, TRACE]


@pytest.mark.parametrize("status", ["declined", "timed_out", "failed"])
def test_the_next_attempt(stream: Service, status: str) -> None:
    """After each of these outcomes the next funder is asked, and nobody after the last attempt; traces go along."""
    at, drawdown_id = stream.day(), drawdown(stream)
    customer_id = new_borrower(stream, "cf-west", "cf-north", "bank-east", at=at)
    stream.tell(request(drawdown_id, at + 1, customer_id=customer_id))
    (first,) = stream.decisions(drawdown_id)
    assert first.funder_id is not None
    stream.tell(outcome(drawdown_id, first.funder_id, status, at + 2, customer_id=customer_id), headers=TRACE)
    (_, second) = stream.decisions(drawdown_id, 2)
    assert second.funder_id is not None
    assert (second.decision_id, second.attempt, second.status) == (f"{drawdown_id}:2", 2, "routed")
    assert "already_tried" in second.excluded[first.funder_id]
    assert second.decided_at == rfc3339(at + 2)
    assert headers_of(stream, drawdown_id) == [(), TRACE]
    stream.tell(outcome(drawdown_id, second.funder_id, status, at + 3, attempt=2, customer_id=customer_id))
    stream.tell(request(drawdown_id, at + 4, customer_id=customer_id))
    stream.settle(customer_id)
    first_value, *later = stream.values(drawdown_id)
    assert len(later) == 2
    assert len(set(later)) == 1, "a repeated request gets the latest decision"
    assert later[0] != first_value


def test_who_walked_away_is_not_routed_again(stream: Service) -> None:
    """After `cancelled`, and after an answer that comes when the drawdown has expired, no attempt follows."""
    at = stream.day()
    customer_id = new_borrower(stream, "cf-west", "cf-north", at=at)
    walked, late = drawdown(stream), drawdown(stream)
    for drawdown_id, status, after in ((walked, "cancelled", 2), (late, "declined", 15 * MINUTE)):
        stream.tell(request(drawdown_id, at, customer_id=customer_id))
        (decision,) = stream.decisions(drawdown_id)
        assert decision.funder_id is not None
        stream.tell(outcome(drawdown_id, decision.funder_id, status, at + after, customer_id=customer_id))
    stream.settle(customer_id)
    assert (len(stream.values(walked)), len(stream.values(late))) == (1, 1)


def test_money_that_moved_after_all_counts(stream: Service) -> None:
    """`disbursed` after `timed_out` uses up the grant, though the second attempt went elsewhere."""
    at, drawdown_id, following = stream.day(), drawdown(stream), drawdown(stream)
    customer_id = new_borrower(stream, "cf-west", at=at, limit=1_000_000)
    stream.tell(request(drawdown_id, at + 1, customer_id=customer_id))
    stream.decisions(drawdown_id)
    stream.tell(outcome(drawdown_id, "cf-west", "timed_out", at + 2, customer_id=customer_id))
    stream.tell(outcome(drawdown_id, "cf-west", "disbursed", at + 3, customer_id=customer_id))
    stream.settle(customer_id)
    stream.tell(request(following, at + 4, customer_id=customer_id))
    (decision,) = stream.decisions(following)
    assert decision.excluded["cf-west"] == ["grant_limit"]
    assert stream.letters_of(customer_id) == []


def test_repeats_reserve_nothing(stream: Service) -> None:
    """A quota of two a day takes two drawdowns, however often one is asked for, and two more on the next day.

    Asked again under another revision, a drawdown still gets the decision that it got, byte for byte.
    """
    at = stream.day() + 9 * HOUR  # 23:00 in Shanghai
    first, second, third = (new_borrower(stream, "cf-west", at=at) for _ in range(3))
    asked = [drawdown(stream) for _ in range(3)]
    with stream.configured(lambda document: funder(document, "cf-west")["quota"].update(daily_count=2)):
        for _ in range(4):
            stream.tell(request(asked[0], at, customer_id=first))
        stream.settle(first)
        stream.tell(request(asked[1], at, customer_id=second))
        stream.settle(second)
        stream.tell(request(asked[2], at, expires=at + 2 * HOUR, customer_id=third))
        (held,) = stream.decisions(asked[2])
        assert len(set(stream.values(asked[0]))) == 1
        assert len(stream.values(asked[0])) == 4
        assert [stream.decisions(each)[0].status for each in asked] == ["routed", "routed", "held"]
        assert held.excluded["cf-west"] == ["quota_exhausted"]
        pass_time(stream, at + 90 * MINUTE)
        (_, routed) = stream.decisions(asked[2], 2)
        assert (routed.funder_id, routed.decided_at) == ("cf-west", rfc3339(at + HOUR))
    stream.tell(request(asked[0], at, customer_id=first))
    stream.settle(first)
    assert len(stream.values(asked[0])) == 5
    assert len(set(stream.values(asked[0]))) == 1


def told_rates(service: Service, funder_id: str, grade: str) -> dict[int, float]:
    """The pass rate of a funder and grade by the version of the funder states that tells it."""
    rates = {}
    for record in service.said("funder-states"):
        with suppress(msgspec.DecodeError):  # a test of this file publishes what is none
            state = msgspec.json.decode(record.value or b"", type=FunderState)
            if state.funder_id == funder_id and grade in state.pass_rates:
                rates[record.offset] = state.pass_rates[grade]
    return rates


def test_pass_rates_are_published_and_used(stream: Service) -> None:
    """Outcomes move the smoothed rate, it is told within 60 s of stream time, and the next decisions weigh by it.

    No other outcome comes meanwhile: stream time passes by requests alone, on one partition, which is not the funder's,
    and far more quickly than the wall clock.
    """
    at, grade = max(stream.day() for _ in range(7)), "D"  # other tests may have let some days pass
    statuses = ["disbursed"] * 3 + ["declined"] * 2 + ["cancelled", "timed_out", "failed"]
    for number, status in enumerate(statuses):
        when = at + number
        customer_id, drawdown_id = new_borrower(stream, "cf-west", at=when, grade=grade), drawdown(stream)
        stream.tell(request(drawdown_id, when, risk_grade=grade, customer_id=customer_id))
        stream.decisions(drawdown_id)
        stream.tell(outcome(drawdown_id, "cf-west", status, when, customer_id=customer_id), headers=TRACE)
        stream.settle(customer_id)
    elsewhere = (stream.partition("cf-west") + 1) % stream.settings.partitions
    for seconds in range(10, 300, 10):
        customer_id, drawdown_id = stream.customer(elsewhere), drawdown(stream)
        moment = at + seconds * SECOND
        stream.tell(request(drawdown_id, moment, expires=moment, customer_id=customer_id))
        stream.decisions(drawdown_id)
    expected = round((RATE * STRENGTH + 3) / (STRENGTH + 3 + 2 + 1), 6)
    stream.until(lambda: expected in told_rates(stream, "cf-west", grade).values())
    version = max(told_rates(stream, "cf-west", grade))
    customer_id, drawdown_id = new_borrower(stream, "cf-west", "cf-north", at=at, grade=grade), drawdown(stream)
    told = next(r for r in stream.said("funder-states") if r.offset == version)
    assert told.timestamp <= at + 60 * SECOND
    assert told.headers == TRACE
    stream.states_version = version
    stream.wait_guided()
    stream.tell(request(drawdown_id, at + 61 * SECOND, risk_grade=grade, customer_id=customer_id))
    (decision,) = stream.decisions(drawdown_id)
    assert decision.funder_states_version >= version
    assert propensities(decision) == pytest.approx(shares(stream.document, {"cf-west": expected}))


def propensities(decision: Decision) -> dict[str, float]:
    """Each candidate's chance of being first."""
    return {each.funder_id: each.propensity for each in decision.candidates}


def shares(document: dict[str, Any], rates: dict[str, float]) -> dict[str, float]:
    """What cf-west and cf-north share by the contract, with these pass rates instead of the priors."""
    funders = document["funders"]
    weights = {f["id"]: f["weight"] * rates.get(f["id"], f["pass_rate_prior"]["rate"]) for f in funders}
    epsilon = document["selection"]["exploration"]
    mixed = {
        funder_id: (1 - epsilon) * weight / sum(weights.values()) + epsilon / len(weights)
        for funder_id, weight in weights.items()
    }
    left = mixed["cf-west"] + mixed["cf-north"]
    return {funder_id: mixed[funder_id] / left for funder_id in ("cf-west", "cf-north")}


def test_advice_to_apply(stream: Service) -> None:
    """A borrower with too few live grants is told where to apply, once until it is answered; traces go along."""
    at = stream.day()
    customer_id = stream.customer()
    stream.tell(grant("cf-west", at, customer_id=customer_id, region="310000", risk_grade="A"), headers=TRACE)
    stream.tell(grant("cf-west", at + 1, customer_id=customer_id, region="310000", risk_grade="A"))
    stream.settle(customer_id)
    (advice,) = applications(stream, customer_id)
    (record,) = (r for r in stream.said("credit-applications") if r.key == customer_id.encode())
    assert (advice.reason, advice.occurred_at) == ("below_min_live_grants", rfc3339(at))
    assert advice.funder_id in {"bank-east", "cf-north", "trust-south"}
    assert record.headers == TRACE
    assert list(json.loads(record.value or b"")) == [
        "application_id",
        "customer_id",
        "funder_id",
        "reason",
        "occurred_at",
    ]
    held = stream.customer()
    stream.tell(request(drawdown(stream), at, customer_id=held))
    stream.settle(held)
    assert [each.reason for each in applications(stream, held)] == ["drawdown_held"]
