"""What a person says of a funder with `loanrouter funders set` holds at once, and the worker goes on from there."""

import json
from functools import partial
from typing import Any

import msgspec

from rotation.clock import HOUR, MINUTE, rfc3339
from rotation.outputs import Decision, FunderState, encode
from tests.processes import loanrouter, running
from tests.rotation.world import grant, outcome, request
from tests.worker.service import Item, Service
from tests.worker.test_capture import call, standings

FUNDER = "bank-east"


def test_a_person_puts_a_funder_where_it_stays(stream: Service) -> None:
    """Paused it gets no drawdown. Watched it is left so by calm, throttled by canaries, and set free it is free."""
    lent(stream, stream.day())
    stream.until(lambda: standings(stream, of=FUNDER))
    word = told(stream, "paused")
    stream.wait_guided()
    decision, _ = asked(stream, stream.day())
    assert decision.status == "held"
    assert "funder_paused" in decision.excluded[FUNDER]
    taken = taken_over(stream, word)
    assert (taken.state, taken.traffic_multiplier) == ("paused", 0.0)
    assert (taken.cause, taken.since) == ("by a person: looked into", word.since)

    taken = taken_over(stream, told(stream, "watch"))
    at = max(stream.day() for _ in range(20))  # longer than it takes to calm down
    staff: list[str] = []
    for number in range(2):
        staff.append(lent(stream, at + number * MINUTE, canary=True))
        taken = stream.until(partial(more_lent, stream, taken))
    assert (taken.state, taken.cause) == ("watch", "by a person: looked into")

    stream.publish(
        *(call(customer_id, at + hours * HOUR, funder_id=FUNDER) for hours, customer_id in enumerate(staff, 1))
    )
    harder = stream.until(lambda: [each for each in standings(stream, of=FUNDER)[-1:] if each.state == "throttled"])[0]
    assert harder.cause.startswith("canary of canaries")

    taken = taken_over(stream, told(stream, "normal"))
    assert (taken.state, taken.traffic_multiplier) == ("normal", 1.0)


def test_a_word_that_a_worker_has_not_read_is_not_lost(stream: Service) -> None:
    """The worker publishes behind it, with a lower version: with its next record the person's word holds again."""
    lent(stream, stream.day())
    own = stream.until(lambda: standings(stream, of=FUNDER))[-1]
    word = msgspec.structs.replace(own, state="watch", cause="by a person: a test", version=own.version + 1000)
    behind = msgspec.structs.replace(own, version=own.version + 1)
    *_, last = stream.publish(*(Item("funder-states", encode(each), FUNDER.encode()) for each in (word, behind)))
    stream.states_version = last.offset
    taken = taken_over(stream, word)
    assert (taken.state, taken.cause) == ("watch", "by a person: a test")
    told(stream, "normal")


def test_a_word_while_outcomes_flow(stream: Service) -> None:
    """The worker publishes all the while, and counts on from the person's version, on the person's step."""
    at = stream.day()
    environment = stream.settings.environment()
    number = 0
    stream.catch_up()
    before = len(standings(stream, of=FUNDER))
    with running(
        "funders", "set", FUNDER, "throttled", "--reason", "a test", "--yes", "--json", **environment
    ) as setting:
        while setting.poll() is None:
            number += 1
            lent(stream, at + number * MINUTE)
        assert setting.stdout is not None
        word = msgspec.json.decode(setting.stdout.read(), type=FunderState)
    lent(stream, at + (number + 1) * MINUTE)
    stream.until(lambda: later_than(stream, word))
    states = standings(stream, of=FUNDER)
    place = states.index(word)
    assert place > before, "the worker has published meanwhile"
    assert {(each.state, each.cause) for each in states if each.version >= word.version} == {
        ("throttled", "by a person: a test")
    }
    assert states[-1].version > word.version
    told(stream, "normal")


def test_the_list_shows_what_stands(stream: Service) -> None:
    """As the worker publishes it: the configured funders in their order, also one of which nothing was heard."""
    lent(stream, stream.day())
    stream.settle_all()
    done = loanrouter("funders", "list", "--json", **stream.settings.environment())
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert [row["funder_id"] for row in rows] == [each["id"] for each in stream.document["funders"]]
    last = standings(stream, of=FUNDER)[-1]
    row = next(row for row in rows if row["funder_id"] == FUNDER)
    assert (row["state"], row["cause"], row["version"]) == (last.state, last.cause, last.version)


def asked(stream: Service, at: int, *, canary: bool = False) -> tuple[Decision, str]:
    """What is decided for a new borrower whom this funder alone has granted a line, and who that is."""
    customer_id = stream.customer()
    stream.tell(grant(FUNDER, at, customer_id=customer_id))
    stream.settle(customer_id)
    stream.tell(request(f"dd-{customer_id}", at + 1, customer_id=customer_id, canary=canary))
    return stream.decisions(f"dd-{customer_id}")[0], customer_id


def lent(stream: Service, at: int, *, canary: bool = False) -> str:
    """The funder lends to a new borrower; gives who that is."""
    decision, customer_id = asked(stream, at, canary=canary)
    assert decision.funder_id == FUNDER
    stream.tell(outcome(f"dd-{customer_id}", FUNDER, "disbursed", at + 2, customer_id=customer_id))
    return customer_id


def told(stream: Service, state: str) -> FunderState:
    """Have a person set the funder's state; gives the record, which is stamped with stream time."""
    done = loanrouter(
        "funders", "set", FUNDER, state, "--reason", "looked into", "--yes", "--json", **stream.settings.environment()
    )
    assert done.returncode == 0, done.stderr
    written = stream.until(
        lambda: [each for each in stream.said("funder-states") if each.value == done.stdout.strip().encode()]
    )[0]
    stream.states_version = written.offset
    word = msgspec.json.decode(done.stdout, type=FunderState)
    before = [each.timestamp for each in stream.said("funder-states") if each.offset < written.offset]
    assert written.timestamp == max(before)
    assert word.since == rfc3339(written.timestamp)
    return word


def taken_over(stream: Service, word: FunderState) -> FunderState:
    """The worker's next record after it has read all words; a signal that tells nothing lets time pass."""
    stream.wait_guided()
    stream.publish(call(stream.customer(), stream.day(), funder_id=FUNDER))
    return stream.until(lambda: later_than(stream, word))


def later_than(stream: Service, word: FunderState) -> FunderState | None:
    """The first record of the worker that counts on from a person's."""
    return next((state for state in standings(stream, of=FUNDER) if state.version > word.version), None)


def more_lent(stream: Service, before: FunderState) -> FunderState | None:
    """The last record, when it counts a loan more."""
    last = standings(stream, of=FUNDER)[-1]
    return last if last.pass_rates["A"] > before.pass_rates["A"] else None
