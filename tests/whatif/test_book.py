"""One partition's book answers as the book in memory does, and counts what other partitions tell it.

Invariant: for operations in the order of time both give the same answers, and hold the same at the end.
"""

from hypothesis import given
from hypothesis import strategies as st

from rotation.book import MemoryBook
from rotation.reservations import Commit, FunderLimits, Operation, Release, Repay, Reserve
from whatif.book import LaneBook

LIMITS = {
    "a": FunderLimits(daily_amount=100, daily_count=4),
    "b": FunderLimits(daily_amount=200, daily_count=3),
    "c": FunderLimits(1000, 50, enhanced=True, balance=300, guaranteed=100, cap=0.5, guarantee_since=50),
}
DAY = "20261102"


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Reservations at rising times, each perhaps answered, late or not, and perhaps repaid."""
    now = 0
    done: list[Operation] = []
    for number in range(draw(st.integers(1, 25))):
        now += draw(st.integers(0, 20))
        key = f"x/dd-{number}:1"
        candidates = tuple(draw(st.permutations("abc"))[: draw(st.integers(1, 3))])
        asked = Reserve(key, candidates, draw(st.integers(1, 60)), now, DAY, now + 30)
        done.append(asked)
        funder_id = candidates[0]
        if draw(st.booleans()):
            done.append(Release(key, funder_id))
        elif draw(st.booleans()):
            done.append(Commit(key, funder_id, draw(st.integers(1, 60)), now, DAY))
            if draw(st.booleans()):
                done.append(Repay(key, funder_id, draw(st.integers(0, 60))))
    return done


@given(histories())
def test_as_the_book_in_memory(history: list[Operation]) -> None:
    """What became of a reservation is told of the funder that got it, as the core does."""
    memory, lane = MemoryBook(LIMITS), LaneBook(LIMITS)
    got: dict[str, str | None] = {}
    now = 0
    for operation in history:
        if isinstance(operation, Reserve):
            now = operation.now
            answer = lane.reserve(operation)
            assert [answer] == memory.apply([operation])
            got[operation.id] = answer.funder_id
        elif operation.funder_id == got[operation.id]:
            lane.note([operation])
            memory.apply([operation])
    lane.reserve(Reserve("y/end:1", (), 1, now, DAY, now))
    for funder_id, usage in memory.usage(DAY, now).items():
        lane.refusal(funder_id, Reserve("y/end:1", (), 1, now, DAY, now))
        held = lane.held()
        assert held.get((funder_id, DAY), (0, 0)) == (usage.amount, usage.count)
        assert held.get((funder_id, ""), (0, 0))[0] == usage.guaranteed


def reserve(book: LaneBook, key: str, amount: int = 60, now: int = 100) -> str | None:
    """Ask for an amount at a."""
    return book.reserve(Reserve(key, ("a",), amount, now, DAY, now + 30)).funder_id


def test_what_others_hold_takes_room() -> None:
    """As soon as it is told, and no sooner; what they give back makes room again."""
    one, other = LaneBook(LIMITS), LaneBook(LIMITS)
    assert (reserve(one, "x/1:1"), reserve(other, "y/1:1", 30)) == ("a", "a")

    moved = one.moved()
    assert (moved, one.moved()) == ({("a", DAY): (60, 1)}, {})
    other.tell(moved)
    assert reserve(other, "y/2:1", 20) is None
    assert reserve(other, "y/2:1", 10) == "a"
    one.note([Release("x/1:1", "a")])
    other.tell(one.moved())
    assert reserve(other, "y/3:1") == "a"


def test_what_is_reserved_for_it_already_is_room() -> None:
    """Asking whether a drawdown would have room does not count it twice."""
    book = LaneBook(LIMITS)
    assert reserve(book, "x/1:1") == "a"

    asked = Reserve("x/1:1", ("a",), 60, 100, DAY, 130)
    assert book.refusal("a", asked) is None
    assert book.refusal("a", Reserve("x/2:1", ("a",), 60, 100, DAY, 130)) == "quota_exhausted"
