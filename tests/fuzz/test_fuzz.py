"""Invariant: no parser breaks on spoilt input, and what it refuses changes nothing. `./dev fuzz` feeds more of it."""

from tests.fuzz.run import fuzz


def test_no_parser_breaks() -> None:
    """The first few thousand inputs of a seed; each parser took some and refused some."""
    fed = fuzz(seed=1, first=0, inputs=10_000)
    rare = {"rotation.yaml", "rotation-config records"}  # a sum of itself, and many rules: little that is spoilt passes
    for name, number in fed.inputs.items():
        assert fed.taken[name] < number, name
        assert fed.taken[name] or name in rare, name
