"""Invariant: however a log is cut into fetches, its records are handed on in the one order that its times call for."""

from collections.abc import Iterable, Mapping

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.batches import Record
from streams.waiting import PATIENCE, Waiting, in_timestamp_order

TOPICS = ("a", "b", "c")
A, B, C = (TP(topic, 0) for topic in TOPICS)


def records(tp: TP, *times: int, start: int = 0) -> list[Record]:
    """Records with nothing in them, of these timestamps, their offsets counted from `start`."""
    return [Record(tp.topic, tp.partition, start + n, at, b"k", b"v") for n, at in enumerate(times)]


def named(taken: Mapping[int, Iterable[Record]]) -> list[str]:
    """What was handed on of partition number 0, as topic and timestamp."""
    return [f"{record.topic}{record.timestamp}" for record in taken.get(0, ())]


def test_records_of_several_topics_come_in_timestamp_order() -> None:
    """Heads only are compared, equal timestamps come in topic order, a topic's own order stands."""
    merged = in_timestamp_order([records(A, 10, 5, 30), records(B, 10, 20)])

    assert [f"{record.topic}{record.timestamp}" for record in merged] == ["a10", "a5", "b10", "b20", "a30"]


logs = st.lists(st.lists(st.integers(0, 20), max_size=12), min_size=3, max_size=3)


@given(logs, st.data())
def test_the_order_does_not_depend_on_the_fetches(times: list[list[int]], data: st.DataObject) -> None:
    """Pieces of any size, of any topics at a time: all come, in the order of the whole log."""
    whole = {tp: records(tp, *of) for tp, of in zip((A, B, C), times, strict=True)}
    waiting, fetched, handed = Waiting(TOPICS), dict.fromkeys(whole, 0), []
    while True:
        unread = {tp for tp in whole if fetched[tp] < len(whole[tp])}
        brought = {}
        for tp in unread:
            size = 0 if waiting.holds(tp) else data.draw(st.integers(0, 5))
            brought[tp] = whole[tp][fetched[tp] : fetched[tp] + size]
            fetched[tp] += len(brought[tp])
        waiting.add({tp: found for tp, found in brought.items() if found})
        unread = {tp for tp in whole if fetched[tp] < len(whole[tp])}
        handed += waiting.take(unread, 0.0).get(0, [])
        if not unread:
            break

    assert handed == list(in_timestamp_order(list(whole.values())))
    assert not waiting.partitions


def test_what_comes_after_the_known_part_of_a_topic_waits_for_the_rest() -> None:
    """Handing on stops where a topic with more to come runs out; partition numbers do not wait for each other."""
    waiting = Waiting(TOPICS)
    elsewhere = TP("a", 1)
    waiting.add({A: records(A, 1, 9), B: records(B, 2, 3), elsewhere: records(elsewhere, 50)})

    first = waiting.take({B}, 0.0)

    assert named(first) == ["a1", "b2", "b3"]
    assert [record.timestamp for record in first[1]] == [50]
    assert (waiting.holds(A), waiting.holds(B), waiting.partitions) == (True, False, {0})
    waiting.add({B: records(B, 9, 12, start=2)})
    assert named(waiting.take(set(), 0.0)) == ["a9", "b9", "b12"]


def test_nothing_comes_while_a_topic_is_not_known_at_all() -> None:
    """What a broker has not told of yet may be older than everything else, until it has told that there is nothing."""
    waiting = Waiting(TOPICS)
    waiting.add({A: records(A, 1)})

    assert named(waiting.take({C}, 0.0)) == []
    assert named(waiting.take(set(), 0.0)) == ["a1"]


def test_a_broker_that_does_not_answer_is_waited_for_once() -> None:
    """After `PATIENCE` the others go on without its topic, and do not wait again before it has brought something."""
    waiting = Waiting(TOPICS)
    waiting.add({A: records(A, 1)})
    assert named(waiting.take({C}, 5.0)) == []
    assert named(waiting.take({C}, 5.0 + PATIENCE - 0.1)) == []
    assert named(waiting.take({C}, 5.0 + PATIENCE)) == ["a1"]
    waiting.add({A: records(A, 2, start=1)})
    assert named(waiting.take({C}, 20.0)) == ["a2"]

    waiting.add({A: records(A, 7, start=2), C: records(C, 3, 4)})

    assert named(waiting.take({C}, 30.0)) == ["c3", "c4"]
    assert named(waiting.take({C}, 30.0)) == []


def test_a_record_of_the_future_does_not_wait_for_the_others() -> None:
    """It is bad input; what is behind it in its topic comes in its order."""
    waiting = Waiting(TOPICS)
    waiting.add({A: records(A, 1000, 5), B: records(B, 3, 4)})

    assert named(waiting.take({B}, 0.0, latest=100)) == ["a1000", "b3", "b4"]
    waiting.add({B: records(B, 5, start=2)})
    assert named(waiting.take(set(), 0.0, latest=100)) == ["a5", "b5"]


def test_what_was_fetched_before_a_rebalance_is_forgotten() -> None:
    """It is fetched again, perhaps by another worker."""
    waiting = Waiting(TOPICS)
    waiting.add({A: records(A, 1)})
    waiting.take({B}, 0.0)

    waiting.clear()

    assert not waiting.partitions
    assert waiting.take(set(), 1.0) == {}
