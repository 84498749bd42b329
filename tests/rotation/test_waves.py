"""Invariant: many borrowers' turns side by side ask the book once a wave, and each borrower's events stay in order.

What a borrower asks and is answered is what they would ask alone, one event after the other; the book's answers go to
whom they belong.
"""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.book import MemoryBook
from rotation.decide import Steps
from rotation.events import BorrowerEvent, millis
from rotation.reservations import Operation, Reserve
from rotation.state import Borrower
from rotation.turn import Turn
from rotation.waves import Life, waves
from tests.rotation.world import ALWAYS_OPEN, NO_ROTATION, T0, World, grant, outcome, policy, request

EDITS = NO_ROTATION | ALWAYS_OPEN | {"attempts.max": 2}
OPEN = policy(EDITS)
Wave = list[tuple[str, Operation]]


def steps(turn: Turn, events: list[BorrowerEvent]) -> Steps[None]:
    """A borrower's events, one after the other."""
    for event in events:
        yield from turn.handle(event, millis(event.occurred_at), [])


def run(lives: dict[str, list[BorrowerEvent]], book: MemoryBook | None = None) -> tuple[list[Wave], dict[str, Turn]]:
    """Run all lives at once against a book: the waves that it was asked, by borrower, and the turns at their end."""
    book = book or MemoryBook(OPEN.limits)
    turns = {customer_id: Turn(customer_id, Borrower(), OPEN) for customer_id in lives}
    running = waves(
        Life(customer_id, turns[customer_id], steps(turns[customer_id], lives[customer_id])) for customer_id in lives
    )
    seen: list[Wave] = []
    try:
        seen.append(next(running))
        while True:
            seen.append(running.send(book.apply(operation for _, operation in seen[-1])))
    except StopIteration:
        return seen, turns


def life(customer_id: str, *kinds: str) -> list[BorrowerEvent]:
    """Events of one borrower: `grant`, `ask` (a new drawdown), `lend` or `decline` (the last one, at cf-west)."""
    events: list[BorrowerEvent] = []
    asked = 0
    for number, kind in enumerate(kinds):
        at = T0 + number
        if kind == "ask":
            asked += 1
            events.append(request(f"dd-{asked}", at, amount=100_000, customer_id=customer_id))
        elif kind == "grant":
            events.append(grant("cf-west", at, customer_id=customer_id))
        else:
            status = "disbursed" if kind == "lend" else "declined"
            events.append(outcome(f"dd-{asked}", "cf-west", status, at, amount=100_000, customer_id=customer_id))
    return events


def reserves(wave: Wave) -> list[str]:
    """Who asks for a reservation in this wave."""
    return [customer_id for customer_id, operation in wave if isinstance(operation, Reserve)]


def test_one_call_answers_all_borrowers() -> None:
    """A hundred borrowers with one drawdown each are one wave."""
    lives = {f"cust-{number}": life(f"cust-{number}", "grant", "ask") for number in range(100)}
    seen, turns = run(lives)
    assert [len(wave) for wave in seen] == [100]
    assert all(len(turn.decisions) == 1 for turn in turns.values())


def test_there_are_as_many_waves_as_the_busiest_borrower_asks() -> None:
    """Three drawdowns of one, two of another, none of the third."""
    lives = {
        "one": life("one", "grant", "ask", "ask", "ask"),
        "two": life("two", "grant", "ask", "ask"),
        "three": life("three", "grant"),
    }
    seen, _ = run(lives)
    assert [reserves(wave) for wave in seen] == [["one", "two"], ["one", "two"], ["one"]]


def test_nothing_to_ask_is_no_wave() -> None:
    """Grants alone need no book, and neither does nobody."""
    assert run({"one": life("one", "grant")})[0] == []
    assert run({})[0] == []


def test_what_comes_after_the_last_question_is_still_told() -> None:
    """A commit without a reservation after it goes to the book in a wave of its own."""
    seen, _ = run({"one": life("one", "grant", "ask", "lend")})
    assert [[type(operation).__name__ for _, operation in wave] for wave in seen] == [["Reserve"], ["Commit"]]


def test_what_comes_before_a_question_is_told_before_it() -> None:
    """The release makes the room that the next drawdown asks for, in the same wave."""
    quota = {"funders.*.quota": {"daily_amount": 100_000, "daily_count": 9}}
    limits = policy(EDITS | quota).limits
    seen, turns = run({"one": life("one", "grant", "ask", "decline", "ask")}, MemoryBook(limits))
    kinds = [[type(operation).__name__ for _, operation in wave] for wave in seen]
    assert kinds == [["Reserve"], ["Release", "Reserve"]]
    assert b'"status":"routed"' in turns["one"].decisions[-1].value


def test_the_answers_go_to_whom_they_belong() -> None:
    """Room for one drawdown of two borrowers: the first in line is routed, the other held."""
    limits = policy(EDITS | {"funders.*.quota": {"daily_amount": 900_000, "daily_count": 1}}).limits
    for first, second in (("one", "two"), ("two", "one")):
        lives = {customer_id: life(customer_id, "grant", "ask") for customer_id in (first, second)}
        _, turns = run(lives, MemoryBook(limits))
        assert b'"status":"routed"' in turns[first].decisions[0].value
        assert b'"status":"held"' in turns[second].decisions[0].value


kinds = st.lists(st.sampled_from(["grant", "ask", "ask", "lend", "decline"]), max_size=6)


@settings(max_examples=60, derandomize=True)
@given(st.lists(kinds, max_size=5))
def test_each_borrower_lives_as_if_alone(many: list[list[str]]) -> None:
    """With room enough: the same decisions and operations in the same order, one reservation a wave at most."""
    lives = {f"cust-{number}": life(f"cust-{number}", *kinds) for number, kinds in enumerate(many)}
    seen, turns = run(lives)
    told: dict[str, list[Operation]] = defaultdict(list)
    for wave in seen:
        assert len(set(reserves(wave))) == len(reserves(wave))
        for customer_id, operation in wave:
            told[customer_id].append(operation)
    for customer_id, events in lives.items():
        world = World(EDITS)
        alone = [world.handle(event) for event in events]
        assert [said.value for said in turns[customer_id].decisions] == [
            value for each in alone for value in each.values
        ]
        assert told[customer_id] == [operation for each in alone for operation in each.operations]
        assert turns[customer_id].borrower == world.borrower(customer_id)
