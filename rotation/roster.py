"""Sets of funders as bits: bit n is the n-th funder of a configuration."""

from collections.abc import Iterable, Sequence

Funders = int
NOBODY: Funders = 0
#: How many sets are remembered with their members.
_MOST_SETS = 10_000


def union(sets: Iterable[Funders]) -> Funders:
    """All funders of several sets."""
    together = NOBODY
    for funders in sets:
        together |= funders
    return together


class Roster:
    """The funders of one configuration, in its order."""

    def __init__(self, funder_ids: Sequence[str]) -> None:
        self.funder_ids = tuple(funder_ids)
        self.bits: dict[str, Funders] = {funder_id: 1 << n for n, funder_id in enumerate(self.funder_ids)}
        self.places: dict[str, int] = {funder_id: n for n, funder_id in enumerate(self.funder_ids)}
        self.everyone: Funders = (1 << len(self.funder_ids)) - 1
        self._members: dict[Funders, tuple[str, ...]] = {}

    def members(self, funders: Funders) -> tuple[str, ...]:
        """The ids of a set of funders, in the order of the configuration."""
        known = self._members.get(funders)
        if known is None:
            known = tuple(funder_id for funder_id, bit in self.bits.items() if funders & bit)
            if len(self._members) < _MOST_SETS:
                self._members[funders] = known
        return known

    def set_of(self, funder_ids: Iterable[str]) -> Funders:
        """The set of those of `funder_ids` that are configured."""
        found = NOBODY
        for funder_id in funder_ids:
            found |= self.bits.get(funder_id, NOBODY)
        return found

    def by_member(self, dropped: dict[str, Funders]) -> dict[str, list[str]]:
        """Each dropped funder's codes, from the funders that each code drops; both in the order given."""
        codes: dict[str, list[str]] = {funder_id: [] for funder_id in self.members(union(dropped.values()))}
        for code, funders in dropped.items():
            for funder_id in self.members(funders):
                codes[funder_id].append(code)
        return codes
