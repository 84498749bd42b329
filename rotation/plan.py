"""Which policy holds when, and for whom: one from the beginning, others from their stream time on.

A policy may be let in by steps, each for a share of the borrowers: who is in the share is decided by a hash of the
borrower and the content of the policy's revision, so who is in stays in, and another content begins with others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from rotation.policy import Policy

#: A share of all borrowers, in per cent.
ALL = 100
_WHOLE = 2**64


@dataclass(frozen=True, slots=True)
class Phase:
    """What holds for a while, `since` a stream time (ms): `policy`, but `ramped` for a `share` of the borrowers (%).

    Two phases are equal when the same holds in both for everybody.
    """

    since: int = field(compare=False)
    policy: Policy
    ramped: Policy | None = None
    share: int = 0

    def of(self, customer_id: str) -> Policy:
        """The policy for a borrower."""
        if self.ramped is not None and is_within(customer_id, self.ramped.revision.sha256, self.share):
            return self.ramped
        return self.policy


class Plan:
    """Policies in order of time: from which stream time (ms) each holds, and for which share of the borrowers (%).

    The first one always held, for all.
    """

    def __init__(self, first: Policy, *later: tuple[int, Policy, int]) -> None:
        phases = [Phase(0, first)]
        for since, policy, share in later:
            phases.append(Phase(since, policy) if share >= ALL else Phase(since, phases[-1].policy, policy, share))
        self.phases: Sequence[Phase] = phases

    def phase(self, now: int) -> Phase:
        """What holds at `now` (ms)."""
        return next(phase for phase in reversed(self.phases) if phase.since <= now or phase is self.phases[0])

    def at(self, now: int) -> Policy:
        """The policy that holds at `now` (ms) for whoever is in no share."""
        return self.phase(now).policy

    def stages(self, begin: int, end: int) -> list[Phase]:
        """The phases of stream time from `begin` to `end` (ms)."""
        return [self.phase(begin), *(phase for phase in self.phases if begin < phase.since <= end)]


def is_within(customer_id: str, sha256: str, share: int) -> bool:
    """Whether a borrower is in the share (%) to whom a revision with this content is let in first."""
    digest = blake2b(f"{sha256}\0{customer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") * ALL < share * _WHOLE
