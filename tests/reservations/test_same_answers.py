"""The shared book answers as the memory book does, whatever it is asked, and neither ever gives room away twice."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotation.book import MemoryBook
from rotation.reservations import Commit, FunderLimits, Operation, Release, Repay, Reserve, Restore
from tests.reservations.shared import LIMITS, MIDNIGHT, Book, SharedBook, day_of

MINUTE = 60_000
OTHER_LIMITS = {
    **LIMITS,
    "bank": FunderLimits(daily_amount=600, daily_count=5),
    "trust": FunderLimits(daily_amount=900, daily_count=2),
}
SOME = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

ids = st.sampled_from([f"customer/{i}:1" for i in range(8)])
funders = st.sampled_from(list(LIMITS))
amounts = st.integers(1, 400)
# Two hours around midnight, coarse enough that times meet: stream times differ between partitions, so they come
# in any order.
times = st.integers(-6, 6).map(lambda tens: MIDNIGHT + tens * 10 * MINUTE)
durations = st.sampled_from([10 * MINUTE, 30 * MINUTE, 60 * MINUTE])
rankings = st.lists(funders, min_size=1, max_size=3, unique=True).map(tuple)

reserves = st.builds(
    lambda key, candidates, amount, now, duration: Reserve(key, candidates, amount, now, day_of(now), now + duration),
    ids,
    rankings,
    amounts,
    times,
    durations,
)
commits = st.builds(
    lambda key, funder, amount, at: Commit(key, funder, amount, at, day_of(at)), ids, funders, amounts, times
)
restores = st.builds(
    lambda key, funder, amount, at, duration, owed: Restore(
        key, funder, amount, at, day_of(at), at + duration if duration else None, min(owed, amount)
    ),
    ids,
    funders,
    amounts,
    times,
    st.none() | durations,
    amounts,
)
repays = st.builds(Repay, ids, funders, st.integers(0, 400))
operations = reserves | reserves | reserves | commits | st.builds(Release, ids, funders) | repays | restores
batches = st.lists(st.lists(operations, min_size=1, max_size=12), min_size=1, max_size=6)


def seen_from_everywhere(book: Book) -> list[object]:
    """All usages, from the first time to the last and back."""
    nows = [MIDNIGHT + tens * 10 * MINUTE for tens in range(-7, 14)]
    days = [day_of(MIDNIGHT - 1), day_of(MIDNIGHT)]
    return [book.usage(day, now) for now in [*nows, *reversed(nows)] for day in days]


@SOME
@given(batches=batches, changes=st.lists(st.sampled_from([LIMITS, OTHER_LIMITS]), min_size=6, max_size=6))
def test_both_books_answer_the_same(
    shared_book: SharedBook, batches: list[list[Operation]], changes: list[dict[str, FunderLimits]]
) -> None:
    """The same batches get the same answers and leave the same usage, through changes of the limits."""
    model = MemoryBook(LIMITS)
    forget(shared_book)
    for batch, limits in zip(batches, changes, strict=False):
        model.limits = shared_book.limits = limits
        assert shared_book.apply(batch) == model.apply(batch)
    assert seen_from_everywhere(shared_book) == seen_from_everywhere(model)


@SOME
@given(before=batches, after=batches)
def test_restored_book_answers_the_same(
    shared_book: SharedBook, before: list[list[Operation]], after: list[list[Operation]]
) -> None:
    """A book that lost everything and was restored goes on like one that was restored in memory."""
    lost = MemoryBook(LIMITS)
    for batch in before:
        lost.apply(batch)
    contents = list(lost.contents())
    model = MemoryBook(LIMITS)
    model.apply(contents)
    forget(shared_book, contents)
    for batch in after:
        assert shared_book.apply(batch) == model.apply(batch)
    assert seen_from_everywhere(shared_book) == seen_from_everywhere(model)


@SOME
@given(batches=batches)
def test_no_reserve_overruns(book: Book, batches: list[list[Operation]]) -> None:
    """After each new reservation the chosen funder's quota and ratio hold, as seen by that very call."""
    if isinstance(book, SharedBook):
        forget(book)
    else:
        book = MemoryBook(LIMITS)
    for operation in (each for batch in batches for each in batch):
        if not isinstance(operation, Reserve):
            book.apply([operation])
            continue
        before = book.usage(operation.day, operation.now)
        (answer,) = book.apply([operation])
        assert answer is not None
        after = book.usage(operation.day, operation.now)
        for funder_id, limit in LIMITS.items():
            held, was = after[funder_id], before[funder_id]
            if held.amount > was.amount or held.count > was.count:
                assert funder_id == answer.funder_id
                assert held.amount <= limit.daily_amount
                assert held.count <= limit.daily_count
            if limit.enhanced and held.guaranteed > was.guaranteed:
                assert (limit.guaranteed + held.guaranteed) / (limit.balance + held.guaranteed) <= limit.cap


@SOME
@given(
    asked=st.lists(reserves, min_size=1, max_size=12, unique_by=lambda one: one.id),
    ends=st.lists(st.sampled_from([0, 1, 2]), min_size=12, max_size=12),
)
def test_batch_done_twice_changes_nothing(shared_book: SharedBook, asked: list[Reserve], ends: list[int]) -> None:
    """A batch that is done again after a crash gets the same answers and leaves the same usage.

    Only a refusal may turn into a reservation, where the batch itself made room after it.
    """
    forget(shared_book)
    answers = shared_book.apply(asked)
    outcomes: list[Operation] = []
    for one, answer, end in zip(asked, answers, ends, strict=False):
        if answer is not None and answer.funder_id is not None and end:
            commit = Commit(one.id, answer.funder_id, one.amount, one.now, one.day)
            outcomes.append(commit if end == 1 else Release(one.id, answer.funder_id))
    shared_book.apply(outcomes)
    once = seen_from_everywhere(shared_book)
    served = [(one, answer) for one, answer in zip(asked, answers, strict=True) if answer and answer.funder_id]
    assert shared_book.apply([one for one, _ in served]) == [answer for _, answer in served]
    shared_book.apply(outcomes)
    assert seen_from_everywhere(shared_book) == once


def forget(book: SharedBook, contents: list[Restore] | None = None) -> None:
    """Empty the shared book, and tell it `contents`."""
    book.limits = LIMITS
    book.flush()
    book.restore_all(contents or [])
