"""Which policy holds when: one from the beginning, and others from their stream time on."""

from collections.abc import Sequence

from rotation.policy import Policy


class Plan:
    """Policies, each with the stream time (ms) from which it holds, in order of time; the first one always held."""

    def __init__(self, first: Policy, *later: tuple[int, Policy]) -> None:
        self.steps: Sequence[tuple[int, Policy]] = ((0, first), *later)

    @property
    def policies(self) -> list[Policy]:
        """All of them, in order of time."""
        return [policy for _, policy in self.steps]

    def at(self, now: int) -> Policy:
        """The policy for what is decided at `now` (ms)."""
        policy = self.steps[0][1]
        for since, later in self.steps[1:]:
            if since <= now:
                policy = later
        return policy

    def stages(self, begin: int, end: int) -> list[tuple[int, Policy]]:
        """The policies that hold while stream time goes from `begin` to `end` (ms), each with when it begins to."""
        return [(begin, self.at(begin)), *((since, policy) for since, policy in self.steps if begin < since <= end)]
