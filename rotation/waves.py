"""Many borrowers' turns side by side, asking the reservation book once a wave.

A borrower's own events stay strictly in order. Borrowers touch each other only by what they ask the book, and it hears
them in the order of stream time, then of the batch. So each turn runs until it needs the book, and one call answers
those that no other turn, as far as its events tell, may yet come before.

Two things are not in that order. Who asks more than once in one step, such as again with a rotation rule given up since
nobody had room, does so after the others of its wave. And calls have a price: where many borrowers have several events
in one batch, far apart, waves get small; order that would take more calls than a batch may have is given up.
"""

from bisect import bisect_right
from collections.abc import Generator, Iterable, Sequence
from operator import itemgetter
from typing import Generic, TypeVar

from rotation.book import MemoryBook
from rotation.decide import Steps
from rotation.fold import Moment
from rotation.reservations import Operation, Reserve, Reserved
from rotation.turn import BEFORE_EVENTS, Turn

Place = TypeVar("Place")
Waves = Generator[list[tuple[Place, Operation]], list[Reserved | None], None]

#: How many borrowers' turns run side by side: more of them outgrow the processor's cache.
AT_ONCE = 256
#: So many calls may go out with operations held back for the sake of order, and one more for each so many operations.
#: A call costs as much as some seven decisions.
CALLS, OPERATIONS_A_CALL = 8, 256
FOREVER: Moment = (2**62, 0)


class Life(Generic[Place]):
    """A borrower's turn and its steps. `place` is where the borrower lives (the partition): order counts within it.

    `moments` are those of the borrower's events at which the turn may ask the book, in order, and the first time at
    which something falls due, if it comes before them. `first` is the first of them.
    """

    def __init__(self, place: Place, turn: Turn, steps: Steps[None], moments: Sequence[Moment] = ()) -> None:
        self.place = place
        self.turn = turn
        self.steps = steps
        self.first: Moment = moments[0] if moments else FOREVER
        self.asks: list[tuple[Moment, Operation]] = []
        self._moments = moments

    def go_on(self, answer: Reserved | None) -> None:
        """Run up to the next question, or to the end; `asks` then holds all that the book is to be told or asked."""
        turn = self.turn
        try:
            question = next(self.steps) if answer is None else self.steps.send(answer)
            turn.timed.append((turn.moment, question))
        except StopIteration:
            pass
        self.asks, turn.timed = turn.timed, []

    def following(self) -> Moment:
        """The next event after that at which the turn waits for an answer."""
        moments, now = self._moments, self.turn.moment
        return moments[bisect_right(moments, now)] if moments and moments[-1] > now else FOREVER


Asked = tuple[Moment, Life[Place], Operation]


def waves(lives: Iterable[Life[Place]]) -> Waves[Place]:
    """Run all lives to their end; they come place by place, in the order of their `first`.

    Yields one wave of operations after another, and is sent their answers in order.
    """
    coming = iter(lives)
    ahead = next(coming, None)
    running: list[Life[Place]] = []
    most, calls, told = AT_ONCE, 0, 0
    while True:
        while ahead is not None and len(running) < most:
            ahead.go_on(None)
            if ahead.asks:
                running.append(ahead)
            ahead = next(coming, None)
        if not running:
            return
        wave: list[Asked[Place]] = [(moment, life, asks) for life in running for moment, asks in life.asks]
        wave.sort(key=itemgetter(0))
        for life in running:
            life.asks = []
        if calls < CALLS + told // OPERATIONS_A_CALL:
            wave = _hold_back(wave, ahead)
            most = AT_ONCE if wave else 2 * most  # all wait for others to come first
            if not wave:
                continue
        answers = yield [(life.place, operation) for _, life, operation in wave]
        calls += 1
        told += len(wave)
        for (_, life, operation), answer in zip(wave, answers, strict=True):
            if isinstance(operation, Reserve):
                life.go_on(answer)
        running = [life for life in running if life.asks]


def _hold_back(wave: list[Asked[Place]], ahead: Life[Place] | None) -> list[Asked[Place]]:
    """Give back what others may yet come before, and return the rest; `ahead` is the first who does not run yet.

    Others may ask from their `first` on; who gets an answer, at the next event; who is held then, when that falls due.
    """
    ends: dict[Place, Moment] = {}
    kept: list[Asked[Place]] = []
    for each in wave:
        moment, life, operation = each
        place = life.place
        end = ends.get(place)
        if end is None:
            end = ends[place] = (life.turn.policy.next_wake(moment[0], FOREVER[0]), BEFORE_EVENTS)
            if ahead is not None and ahead.place == place and ahead.first < end:
                end = ends[place] = ahead.first
        if moment > end:
            life.asks.append((moment, operation))
            continue
        kept.append(each)
        if isinstance(operation, Reserve):
            following = life.following()
            if following < end:
                ends[place] = following
    return kept


def run_against(book: MemoryBook, lives: Iterable[Life[Place]]) -> None:
    """Run all lives to their end against a book of this process."""
    wave = waves(lives)
    try:
        operations = next(wave)
        while True:
            operations = wave.send(book.apply(operation for _, operation in operations))
    except StopIteration:
        pass
