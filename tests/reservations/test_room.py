"""What a book answers, rule by rule, on the memory book and on the shared one."""

import pytest

from rotation.book import MemoryBook
from rotation.reservations import (
    MOST,
    Commit,
    FunderLimits,
    Operation,
    Release,
    Repay,
    Reserve,
    Reserved,
    Restore,
    Room,
    Usage,
)
from tests.reservations.shared import DAY, LIMITS, NOON, TTL, Book, day_of

TODAY = day_of(NOON)


def reserve(key: str, candidates: str, amount: int, now: int = NOON) -> Reserve:
    """A reservation of half an hour; candidates are separated by spaces."""
    return Reserve(key, tuple(candidates.split()), amount, now, day_of(now), now + TTL)


def commit(key: str, funder_id: str, amount: int, now: int = NOON) -> Commit:
    """The loan of a reservation that was decided at `now`."""
    return Commit(key, funder_id, amount, now, day_of(now))


def used(book: Book, funder_id: str, now: int = NOON) -> Usage:
    """What the funder holds on the day of `now`."""
    return book.usage(day_of(now), now)[funder_id]


def ask(book: Book, *operations: Operation) -> Reserved | None:
    """Do the operations one call after the other, and return the last answer."""
    answer: Reserved | None = None
    for operation in operations:
        (answer,) = book.apply([operation])
    return answer


@pytest.mark.parametrize(
    ("held", "amount", "answer"),
    [
        pytest.param([], 1000, Reserved("bank"), id="all that the day allows"),
        pytest.param([], 1001, Reserved("trust", (("bank", "quota_exhausted"),)), id="one fen too many"),
        pytest.param([999], 1, Reserved("bank"), id="the last fen"),
        pytest.param([999], 2, Reserved("trust", (("bank", "quota_exhausted"),)), id="beyond the last fen"),
        pytest.param([1, 1], 1, Reserved("bank"), id="the last count"),
        pytest.param([1, 1, 1], 1, Reserved("trust", (("bank", "quota_exhausted"),)), id="beyond the last count"),
        pytest.param(
            [], 5001, Reserved(None, (("bank", "quota_exhausted"), ("trust", "quota_exhausted"))), id="nobody"
        ),
    ],
)
def test_quota_of_the_day(book: Book, held: list[int], amount: int, answer: Reserved) -> None:
    """The first in rank whose amount and count of the day both leave room is reserved; those before it are told."""
    book.apply([reserve(f"held{i}", "bank", each) for i, each in enumerate(held)])
    assert answer == ask(book, reserve("asked", "bank trust", amount))


@pytest.mark.parametrize(
    ("held", "amount", "code"),
    [
        # 400 of 1000 are guaranteed, at most half may be: room for (400 + x) / (1000 + x) <= 0.5, x <= 200
        pytest.param(0, 200, None, id="exactly at the cap"),
        pytest.param(0, 201, "guarantee_ratio", id="over the cap"),
        pytest.param(150, 50, None, id="with what is reserved, at the cap"),
        pytest.param(150, 51, "guarantee_ratio", id="with what is reserved, over the cap"),
        pytest.param(0, 10_001, "quota_exhausted", id="over both: the quota is told"),
    ],
)
def test_guarantee_ratio(book: Book, held: int, amount: int, code: Room | None) -> None:
    """A funder with enhanced loans is passed over when the guaranteed share would exceed its cap."""
    if held:
        ask(book, reserve("held", "finance", held))
    answer = ask(book, reserve("asked", "finance", amount))
    assert answer == (Reserved("finance") if code is None else Reserved(None, (("finance", code),)))


def test_lower_ranks_are_not_looked_at(book: Book) -> None:
    """Only those before the chosen one are reported."""
    ask(book, reserve("full", "bank", 1000))
    assert ask(book, reserve("asked", "bank trust finance", 3000)) == Reserved("trust", (("bank", "quota_exhausted"),))


def test_every_day_has_its_own_quota(book: Book) -> None:
    """A reservation counts on the day of its decision and no other."""
    assert ask(book, reserve("one", "bank", 1000), reserve("two", "bank", 1000, NOON + DAY)) == Reserved("bank")
    assert used(book, "bank", NOON) == Usage(1000, 1, 0)


@pytest.mark.parametrize(("after", "free"), [(TTL - 1, False), (TTL, True), (TTL + 1, True)])
def test_reservation_ends_when_due(book: Book, after: int, free: bool) -> None:
    """At its due time a reservation no longer counts, a millisecond before it does."""
    answer = ask(book, reserve("one", "bank", 1000), reserve("two", "bank", 1000, NOON + after))
    assert (answer == Reserved("bank")) is free


def test_ended_for_one_call_counts_for_an_earlier_now(book: Book) -> None:
    """What ended for a partition that is ahead still counts for one whose stream time is behind."""
    first = reserve("first", "bank", 600)
    ahead = reserve("ahead", "bank", 300, NOON + TTL)
    behind = reserve("behind", "bank", 300, NOON + TTL - 1)
    assert ask(book, first, ahead) == Reserved("bank")
    assert ask(book, behind) == Reserved(None, (("bank", "quota_exhausted"),))
    assert ask(book, reserve("again ahead", "bank", 700, NOON + TTL)) == Reserved("bank")


def test_same_operation_gets_the_same_answer(book: Book) -> None:
    """A reservation asked again is not made again, though the world moved on, it ended, or came to nothing."""
    full, asked = reserve("full", "bank", 1000), reserve("asked", "bank trust", 500)
    answer = Reserved("trust", (("bank", "quota_exhausted"),))
    assert ask(book, full, asked) == answer
    assert ask(book, Release("full", "bank"), asked) == answer
    assert used(book, "trust") == Usage(500, 1, 0)
    assert ask(book, reserve("later", "finance", 1, NOON + TTL), asked) == answer
    assert ask(book, Release("asked", "trust"), asked) == answer
    assert used(book, "trust") == Usage(0, 0, 0)
    assert ask(book, commit("asked", "trust", 500), asked) == answer


def test_asked_again_with_a_later_stamp(book: Book) -> None:
    """A decision made again at another time keeps its funder while there is room, and counts at its new time."""
    full, asked = reserve("full", "bank", 1000), reserve("asked", "bank trust", 500)
    ask(book, full, asked, Release("full", "bank"))
    tomorrow = reserve("asked", "bank trust", 500, NOON + DAY)
    assert ask(book, tomorrow) == Reserved("trust", (("bank", "quota_exhausted"),))
    assert used(book, "trust") == Usage(0, 0, 0)
    assert used(book, "trust", NOON + DAY) == Usage(500, 1, 0)


def test_asked_again_after_its_room_was_taken(book: Book) -> None:
    """A reservation that ended and lost its room to another does not come back over the quota."""
    late = NOON + TTL
    ask(book, reserve("asked", "bank trust", 600), reserve("other", "bank", 600, late))
    assert ask(book, reserve("asked", "bank trust", 600, late)) == Reserved("trust", (("bank", "quota_exhausted"),))
    assert used(book, "bank", late) == Usage(600, 1, 0)


def test_stored_funder_that_is_no_longer_offered(book: Book) -> None:
    """When the funder of an unwritten answer is not among the candidates, its reservation makes way for a new one."""
    assert ask(book, reserve("asked", "bank", 600), reserve("asked", "trust", 600)) == Reserved("trust")
    assert used(book, "bank") == Usage(0, 0, 0)
    assert used(book, "trust") == Usage(600, 1, 0)


def test_refusal_is_not_remembered(book: Book) -> None:
    """Nobody had room: asked again, the book looks again."""
    ask(book, reserve("full", "bank", 1000), reserve("asked", "bank", 1), Release("full", "bank"))
    assert ask(book, reserve("asked", "bank", 1)) == Reserved("bank")


def test_refused_again_drops_the_earlier_answer(book: Book) -> None:
    """An unwritten reservation that cannot be made again holds no room."""
    ask(book, reserve("asked", "bank", 600))
    assert ask(book, reserve("asked", "trust", 5001)) == Reserved(None, (("trust", "quota_exhausted"),))
    assert used(book, "bank") == Usage(0, 0, 0)


def test_unknown_funder_has_no_room(book: Book) -> None:
    """A candidate without limits, of another revision, is passed over."""
    assert ask(book, reserve("asked", "stranger bank", 1)) == Reserved("bank", (("stranger", "quota_exhausted"),))


@pytest.mark.parametrize("amount", [400, 600, 800])
def test_commit_corrects_the_amount(book: Book, amount: int) -> None:
    """A disbursed amount takes the reserved one's place on the day of the decision, for good."""
    ask(book, reserve("loan", "finance", 100), commit("loan", "finance", amount), commit("loan", "finance", amount))
    assert used(book, "finance", NOON) == Usage(amount, 1, amount)
    assert book.usage(TODAY, NOON + 100 * DAY)["finance"] == Usage(amount, 1, amount)


@pytest.mark.parametrize(
    "before", [[], [reserve("loan", "bank", 600)], [reserve("loan", "bank", 600), Release("loan", "bank")]]
)
def test_late_commit_counts(book: Book, before: list[Operation]) -> None:
    """Money that moved counts on the decision's day: unknown, ended, or released before; a later release is nothing."""
    ask(
        book,
        *before,
        reserve("elsewhere", "trust", 1, NOON + TTL),
        commit("loan", "bank", 600),
        Release("loan", "bank"),
    )
    assert book.usage(TODAY, NOON + TTL)["bank"] == Usage(600, 1, 0)


def test_release_frees_the_room(book: Book) -> None:
    """A reservation that came to nothing no longer counts; releasing it again, or an unknown one, is nothing."""
    ask(book, reserve("one", "finance", 200), *[Release("one", "finance")] * 2, Release("unknown", "finance"))
    assert used(book, "finance") == Usage(0, 0, 0)


def test_repayment_lowers_the_guaranteed_sum_only(book: Book) -> None:
    """Repaid principal leaves G, the day's quota stays, and what is owed never rises."""
    ask(book, reserve("loan", "finance", 200), commit("loan", "finance", 200))
    ask(book, Repay("loan", "finance", 50), Repay("loan", "finance", 120))
    assert used(book, "finance") == Usage(200, 1, 50)
    assert ask(book, reserve("asked", "finance", 150)) == Reserved("finance")


def test_repayment_of_no_loan(book: Book) -> None:
    """A repayment of what is not held, or is held of another funder, changes nothing, nor what is told later."""
    ask(book, Repay("loan", "finance", 50), Repay("loan", "bank", 50), commit("loan", "finance", 200))
    assert ask(book, Repay("loan", "bank", 0)) is None
    assert used(book, "finance") == Usage(200, 1, 200)


def test_loans_before_the_balance_was_taken(book: Book) -> None:
    """A loan decided before `guarantee_since` is part of the balance already."""
    ask(book, commit("old", "finance", 300, NOON - DAY), commit("new", "finance", 20))
    assert used(book, "finance") == Usage(20, 1, 20)


def test_new_limits(book: Book) -> None:
    """A new revision's quotas hold from the next call on."""
    ask(book, reserve("one", "bank", 1000))
    book.limits = {**LIMITS, "bank": FunderLimits(daily_amount=1500, daily_count=3)}
    assert ask(book, reserve("two", "bank", 500)) == Reserved("bank")
    assert ask(book, reserve("three", "bank", 1)) == Reserved(None, (("bank", "quota_exhausted"),))


def test_restore_is_an_upsert(book: Book) -> None:
    """What is missing is created, what is there is not doubled, and a loan is never a reservation again."""
    reserved = Restore("reserved", "finance", 100, NOON, TODAY, NOON + TTL, 100)
    owed = Restore("owed", "finance", 80, NOON, TODAY, None, 30)
    ask(book, reserve("reserved", "finance", 100), reserved, owed, owed)
    assert used(book, "finance") == Usage(180, 2, 130)
    ask(book, Restore("owed", "finance", 80, NOON, TODAY, NOON + TTL, 20), owed)
    assert book.usage(TODAY, NOON + TTL)["finance"] == Usage(80, 1, 20)
    ask(book, Restore("reserved", "finance", 90, NOON, TODAY, None, 90))
    assert book.usage(TODAY, NOON + TTL)["finance"] == Usage(170, 2, 110)


def test_sums_stay_exact(book: Book) -> None:
    """Up to 2**53 - 1 fen a sum is exact to the fen; a reservation that would pass it is refused."""
    book.limits = {**LIMITS, "bank": FunderLimits(daily_amount=2**62, daily_count=100)}
    ask(book, reserve("one", "bank", MOST - 3), reserve("two", "bank", 2))
    assert used(book, "bank") == Usage(MOST - 1, 2, 0)
    assert ask(book, reserve("three", "bank", 2)) == Reserved(None, (("bank", "quota_exhausted"),))
    assert ask(book, reserve("four", "bank", 1)) == Reserved("bank")
    assert used(book, "bank") == Usage(MOST, 3, 0)


def test_contents_make_the_same_book() -> None:
    """A book restored from another's contents holds the same."""
    book = MemoryBook(LIMITS)
    ask(book, reserve("one", "bank", 10), reserve("two", "finance", 20), commit("two", "finance", 30))
    ask(book, Repay("two", "finance", 5), reserve("three", "trust", 1), Release("three", "trust"))
    other = MemoryBook(LIMITS)
    other.apply(book.contents())
    for now in (NOON, NOON + TTL):
        assert other.usage(TODAY, now) == book.usage(TODAY, now)
