"""Invariant: in any sequence of events of several borrowers, decisions keep the contract, and the same one is repeated.

Each attempt is held at most once, ends in exactly one terminal decision, and has at most one funder. No decision breaks
a hard rule or overruns a quota or a guarantee, and each names every code that applies: judged by `market.audit`, which
has its own arithmetic, with no slack for any order of events. Nothing the book counts is ever negative. The same
sequence gives the same bytes, and events that come again change nothing.
"""

import random
from collections import defaultdict

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from market.audit import audit
from rotation.outputs import Decision
from rotation.rules import HARD_RULES, RESERVATION_CODES, ROTATION_RULES
from tests.rotation.play import KINDS, Move, Play

CODES = [*(rule.code for rule in HARD_RULES), *(rule.code for rule in ROTATION_RULES), *RESERVATION_CODES]
numbers = st.integers(0, 9999)
moves = st.builds(Move, st.sampled_from(KINDS), numbers, numbers, numbers, numbers)
sequences = st.lists(moves, min_size=150, max_size=160)
several = settings(max_examples=40, derandomize=True)


def play(sequence: list[Move], again: list[int] | None = None) -> Play:
    """Play all moves, and after each one publish some accepted event `again`."""
    played = Play()
    for index, move in enumerate(sequence):
        played.do(move)
        if again:
            played.repeat(again[index % len(again)])
        assert all(min(usage) >= 0 for usage in played.usage())
    return played


@several
@given(sequences)
def test_any_sequence_keeps_the_contract(sequence: list[Move]) -> None:
    """Played to its end, when nothing can be held any more."""
    played = play(sequence)
    played.end()
    report = audit(played.log, played.revisions, ended_at=played.now, slack_ms=0, skew_ms=0)
    assert report.violations == []
    assert (report.unchecked, report.still_held) == (0, 0)
    said: dict[tuple[str, int], list[str]] = defaultdict(list)
    for value in played.decisions.values():
        decision = msgspec.json.decode(value, type=Decision)
        said[decision.drawdown_id, decision.attempt].append(decision.status)
    whole = (["routed"], ["rejected"], ["held", "routed"], ["held", "rejected"])
    assert all(statuses in whole for statuses in said.values())


@several
@given(sequences)
def test_the_same_sequence_gives_the_same_bytes(sequence: list[Move]) -> None:
    """Decisions, what is told to the funders' agent, dead letters; with their headers, in order."""
    assert play(sequence).said() == play(sequence).said()


@several
@given(sequences, st.lists(st.integers(0, 8), min_size=1, max_size=5))
def test_events_that_come_again_change_nothing(sequence: list[Move], again: list[int]) -> None:
    """Any accepted event, once more after any other: the same decisions, and the book holds the same."""
    plain, repeated = play(sequence), play(sequence, again)
    assert list(repeated.decisions.values()) == list(plain.decisions.values())
    assert list(repeated.book.contents()) == list(plain.book.contents())


def test_such_sequences_are_worth_playing() -> None:
    """Among them are all kinds of decisions, rules given up, exhausted funders, late loans and refused events."""
    moves_of = random.Random(1)
    played = [
        play([Move(moves_of.choice(KINDS), *(moves_of.randrange(10_000) for _ in range(4))) for _ in range(60)])
        for _ in range(20)
    ]
    text = b"".join(value for each in played for value in each.decisions.values())
    told = ["ranked_first", "only_candidate", "relaxed", "no_candidate", "expired", "request_expired", *CODES]
    assert [code for code in told if f'"{code}"'.encode() not in text] == []
    assert any(b'"late":true' in (record.value or b"") for each in played for record in each.log)
    letters = {record.header("dlq.reason") for each in played for record in each.log}
    assert letters >= {"conflicting_duplicate", "unknown_drawdown"}
