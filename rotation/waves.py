"""Many borrowers' turns side by side, asking the reservation book once a wave.

A borrower's own events stay strictly in order; borrowers do not touch each other. So each turn runs until it needs
the book, and one call answers them all.
"""

from collections.abc import Generator, Iterable
from typing import Generic, TypeVar

from rotation.book import MemoryBook
from rotation.decide import Steps
from rotation.reservations import Operation, Reserve, Reserved
from rotation.turn import Turn

Place = TypeVar("Place")
Waves = Generator[list[tuple[Place, Operation]], list[Reserved | None], None]


class _Running(Generic[Place]):
    """A turn that waits for the book. `place` is where its borrower lives (its partition)."""

    def __init__(self, place: Place, turn: Turn, steps: Steps[None]) -> None:
        self.place = place
        self.turn = turn
        self.steps = steps
        self.waits_for: Reserve | None = None

    def go_on(self, answer: Reserved | None) -> None:
        try:
            self.waits_for = next(self.steps) if answer is None else self.steps.send(answer)
        except StopIteration:
            self.waits_for = None

    def operations(self) -> list[Operation]:
        gathered = self.turn.operations
        self.turn.operations = []
        return gathered if self.waits_for is None else [*gathered, self.waits_for]


def waves(
    turns: Iterable[tuple[Place, Turn, Steps[None]]],
) -> Waves[Place]:
    """Run all turns to their end. Yields one wave of operations after another, and is sent their answers in order."""
    running = [_Running(place, turn, steps) for place, turn, steps in turns]
    for one in running:
        one.go_on(None)
    while running:
        asked = [(one, operation) for one in running for operation in one.operations()]
        if not asked:
            return
        answers = yield [(one.place, operation) for one, operation in asked]
        running = [one for one in running if one.waits_for is not None]
        for (one, operation), answer in zip(asked, answers, strict=True):
            if isinstance(operation, Reserve):
                one.go_on(answer)


def run_against(book: MemoryBook, turns: Iterable[tuple[Place, Turn, Steps[None]]]) -> None:
    """Run all turns to their end against a book of this process."""
    wave = waves(turns)
    try:
        operations = next(wave)
        while True:
            operations = wave.send(book.apply(operation for _, operation in operations))
    except StopIteration:
        pass
