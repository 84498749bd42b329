"""Feeding spoilt input to all parsers; every input is made of the seed and its number alone."""

from collections import Counter
from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple

from tests.fuzz.parsers import Parser, parsers


class Fed(NamedTuple):
    """How many inputs each parser got, and how many of them it took."""

    inputs: Counter[str]
    taken: Counter[str]


class Broken(Exception):
    """A parser broke on an input: says which, and how to make it again."""


def fuzz(seed: int, first: int, inputs: int, progress: Callable[[], None] = lambda: None) -> Fed:
    """Feed inputs number `first` and following; raises `Broken` at the first one that breaks a parser."""
    fed = Fed(Counter(), Counter())
    with parsers() as known:
        names, shares = list(known), [parser.share for parser in known.values()]
        for number in range(first, first + inputs):
            chance = Random(f"{seed} {number}")  # it has to come again
            (name,) = chance.choices(names, shares)
            fed.inputs[name] += 1
            fed.taken[name] += _feed(known, name, chance, f"--seed {seed} --first {number} --inputs 1")
            progress()
    return fed


def _feed(known: Mapping[str, Parser], name: str, chance: Random, again: str) -> bool:
    try:
        return known[name].feed(chance)
    except Exception as error:
        raise Broken(f"{name}: {type(error).__name__}; again by: ./dev fuzz {again}") from error
