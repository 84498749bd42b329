"""Chance that can be repeated: a generator of its own for each thing that happens, by name.

What happens to one drawdown then does not depend on the order in which others are decided.
"""

from random import Random


class Dice:
    """Generators derived from one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, *names: object) -> Random:
        """The generator of the thing with these names: the same numbers each time it is asked for."""
        return Random("/".join(map(str, (self._seed, *names))))  # noqa: S311  # a simulation, not a secret
