"""How a decision is remembered until its request may come again: small, and good for the same bytes.

A decision repeats much that its drawdown and its revision tell. Only the rest is kept, a fifth of the whole; since the
log of revisions is kept for ever, the whole can be said again.
"""

import msgspec

from rotation.clock import rfc3339
from rotation.decide import Verdict
from rotation.outputs import Candidate, Decision, encode
from rotation.policy import Policy
from rotation.state import Drawdown, Made

#: How much of a revision's hash is kept, to notice a log of revisions that was begun anew.
_HASH_DIGITS = 16


class RevisionLost(Exception):
    """A decision cannot be said again: `rotation-config`, which must be kept for ever, lacks its revision."""


def make(policy: Policy, verdict: Verdict, reasons: list[str]) -> Made:
    """The decision that `policy` made of a drawdown."""
    places = policy.roster.places
    return Made(
        reasons=reasons,
        relaxed=verdict.relaxed,
        candidates=[(places[funder_id], propensity) for funder_id, propensity in verdict.candidates],
        dropped=verdict.dropped,
        revision=policy.revision.id,
        sha256=policy.revision.sha256[:_HASH_DIGITS],
        states_version=policy.states_version,
    )


def say(made: Made, customer_id: str, drawdown: Drawdown, policy: Policy) -> bytes:
    """The drawdown's latest decision as it leaves; `policy` knows the revision under which it was made.

    Raises:
        RevisionLost: it does not.
    """
    revision = policy.known.get(made.revision)
    if revision is None or not revision.sha256.startswith(made.sha256):
        raise RevisionLost(f"revision {made.revision} ({made.sha256}…) is not in rotation-config any more")
    roster = policy.roster_of(revision)
    candidates = [Candidate(roster.funder_ids[place], propensity) for place, propensity in made.candidates]
    decision_id = f"{drawdown.drawdown_id}:{drawdown.attempt}"
    decision = Decision(
        decision_id=f"{decision_id}:held" if drawdown.status == "held" else decision_id,
        drawdown_id=drawdown.drawdown_id,
        customer_id=customer_id,
        attempt=drawdown.attempt,
        status=drawdown.status or "held",
        funder_id=candidates[0].funder_id if drawdown.status == "routed" else None,
        decided_at=rfc3339(drawdown.decided_at),
        expires_at=rfc3339(drawdown.expires_at),
        reasons=made.reasons,
        relaxed=made.relaxed,
        candidates=candidates,
        excluded=roster.by_member(made.dropped),
        config_revision=made.revision,
        config_sha256=revision.sha256,
        funder_states_version=made.states_version,
    )
    return encode(decision)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Made)


def remember(made: Made) -> bytes:
    """The stored form."""
    return _encoder.encode(made)


def say_again(customer_id: str, drawdown: Drawdown, policy: Policy) -> bytes:
    """The drawdown's latest decision, as `remember` stored it."""
    stored = drawdown.decision
    if stored.startswith(b"{"):  # records that were first written kept it whole
        return stored
    return say(_decoder.decode(stored), customer_id, drawdown, policy)
