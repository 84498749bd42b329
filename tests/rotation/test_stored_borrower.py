"""Law: a borrower's record is stored and read back as it was, by this version and later ones; others are refused.

The stored form begins with a version and the next wake-up, which can be read without the rest.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.clock import DAY
from rotation.events import BorrowerEvent
from rotation.state import (
    Borrower,
    Drawdown,
    Grant,
    LedgerEntry,
    decode_borrower,
    encode_borrower,
    stored_wake_at,
)
from tests.rotation.world import ALWAYS_OPEN, HOUR, T0, Heard, World, grant, outcome, repayment, request

ids = st.text("abcXYZ019._:-", min_size=1, max_size=12)
times = st.integers(0, 2**48)
money = st.integers(0, 2**53 - 1)
grants = st.builds(
    Grant, st.sampled_from(["approved", "declined"]), money, st.integers(0, 10_000), times, times, st.lists(ids)
)
entries = st.builds(
    LedgerEntry,
    ids,
    st.integers(1, 9),
    ids,
    times,
    times,
    money,
    st.sampled_from("ABCDE"),
    st.sampled_from(["pending", "disbursed", "expired"]),
    st.none() | money,
    st.none() | st.just("timed_out"),
)
drawdowns = st.builds(
    Drawdown,
    ids,
    st.binary(min_size=8, max_size=8),
    money,
    st.integers(1, 120),
    st.just("310000"),
    st.sampled_from("ABCDE"),
    st.integers(18, 100),
    times,
    st.lists(ids, max_size=2),
    st.lists(st.tuples(st.just("traceparent"), st.binary(max_size=9)), max_size=1),
    st.integers(1, 9),
    st.sampled_from(["held", "routed", "rejected"]),
    st.integers(1, 2**48),
    times,
    st.binary(max_size=20),
)
borrowers = st.builds(
    Borrower,
    st.dictionaries(ids, grants, max_size=3),
    st.lists(entries, max_size=3),
    st.dictionaries(ids, drawdowns, max_size=3),
    st.dictionaries(ids, times, max_size=3),
    st.dictionaries(ids, times, max_size=1),
    st.none() | st.just("310000"),
    st.none() | st.sampled_from("ABCDE"),
    st.none() | st.integers(18, 100),
)


@settings(max_examples=60, derandomize=True)
@given(borrowers)
def test_a_record_is_read_back_as_it_was(borrower: Borrower) -> None:
    """Nothing is lost, the same record has the same bytes, and its next wake-up is read without the rest."""
    stored = encode_borrower(borrower)
    assert decode_borrower(stored) == borrower
    assert encode_borrower(decode_borrower(stored)) == stored
    held = [each.wake_at for each in borrower.drawdowns.values() if each.status == "held"]
    assert stored_wake_at(stored) == min(held, default=None)


def test_a_wake_up_is_the_next_thing_to_fall_due() -> None:
    """Two held drawdowns: midnight in Shanghai, then the nearer expiry, then the other, then nothing."""
    world = World(ALWAYS_OPEN)
    wakes = []
    for event in (request("dd-1", expires=T0 + DAY), request("dd-2", expires=T0 + 11 * HOUR)):
        world.handle(event)
        wakes.append(stored_wake_at(encode_borrower(world.borrower())))
    for now in (T0 + 10 * HOUR, T0 + 11 * HOUR, T0 + DAY):
        world.wake(now)
        wakes.append(stored_wake_at(encode_borrower(world.borrower())))
    midnight = T0 + 10 * HOUR
    assert wakes == [midnight, midnight, T0 + 11 * HOUR, T0 + DAY, None]


def test_a_borrower_that_was_never_stored_is_new() -> None:
    """No grants, no ledger, nothing to wake for."""
    assert decode_borrower(None) == Borrower()
    assert stored_wake_at(encode_borrower(Borrower())) is None


#: Written by the first version.
STORED = (
    "01000001a195bf3aa09881a763662d7765737496a8617070726f766564ce002dc6c0cd0708cf000001eb029d3700cf000001a195b17f0091"
    "a26731919aa464642d3101a763662d77657374cf000001a195b17f00cf000001a195ccf640ce000927c0a141a9646973627572736564cd03"
    "e8a974696d65645f6f757481a464642d319fa464642d31c4083031323334353637ce000927c00ca6333130303030a14122cf000001a195bf"
    "3aa091a763662d656173749192ab7472616365706172656e74c40930302d312d322d303102a468656c64cf000001a195bf3aa0cf000001a1"
    "95b17f00c4027b7d81a763662d77657374cf000001a195b17f0081a962616e6b2d65617374cf000001a195b17f00a6333130303030a14122"
)
EXPECTED = Borrower(
    {"cf-west": Grant("approved", 3_000_000, 1800, 2_108_872_800_000, T0, ["g1"])},
    [LedgerEntry("dd-1", 1, "cf-west", T0, T0 + HOUR // 2, 600_000, "A", "disbursed", 1000, "timed_out")],
    {
        "dd-1": Drawdown(
            "dd-1",
            b"01234567",
            600_000,
            12,
            "310000",
            "A",
            34,
            T0 + HOUR // 4,
            ["cf-east"],
            [("traceparent", b"00-1-2-01")],
            2,
            "held",
            T0 + HOUR // 4,
            T0,
            b"{}",
        )
    },
    {"cf-west": T0},
    {"bank-east": T0},
    "310000",
    "A",
    34,
)


def test_a_record_that_was_stored_once_is_still_read() -> None:
    """States live for years: what the first version wrote means the same today."""
    assert decode_borrower(bytes.fromhex(STORED)) == EXPECTED


@pytest.mark.parametrize("version", [0, 2, 255])
def test_a_record_of_an_unknown_version_is_refused(version: int) -> None:
    """Rather than read as something that it is not."""
    stored = bytes((version,)) + encode_borrower(Borrower())[1:]
    with pytest.raises(ValueError, match=f"unknown version {version}"):
        decode_borrower(stored)


def test_a_life_that_is_stored_after_every_event_is_the_same_life() -> None:
    """Decisions, operations and advice are those of a borrower that stayed in memory."""

    events: list[BorrowerEvent] = [
        request("dd-1", expires=T0 + DAY),
        grant("cf-west", T0 + 1),
        grant("cf-north", T0 + 2),
        outcome("dd-1", "cf-west", "timed_out", T0 + 3),
        request("dd-2", T0 + 4, amount=5_000_000, expires=T0 + DAY),
        repayment("dd-1", "cf-west", 5, T0 + 5),
        outcome("dd-1", "cf-west", "disbursed", T0 + 6),
    ]

    def life(world: World) -> list[Heard]:
        return [*(world.handle(event) for event in events), world.wake(T0 + DAY)]

    kept = life(World())
    assert [each.status for heard in kept for each in heard.decisions] == [
        "held",
        "routed",
        "routed",
        "held",
        "rejected",
    ]
    assert life(World(remember=lambda borrower: decode_borrower(encode_borrower(borrower)))) == kept
