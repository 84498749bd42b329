"""A decision is said again with the bytes it had, whatever revision is active by then."""

from collections.abc import Mapping

import msgspec
import pytest

from config.rotation import Revision
from rotation.memory import RevisionLost
from rotation.policy import Policy
from tests.rotation.world import NO_ROTATION, SECOND, T0, World, configuration, grant, request


def _turned_around(known: Mapping[int, Revision]) -> Policy:
    """A policy under another revision, with the funders the other way round."""
    config = configuration(NO_ROTATION)
    other = msgspec.structs.replace(config, funders=config.funders[::-1])
    revision = Revision(id=8, sha256="def", config=other, canonical=b"")
    return Policy(revision, {}, 5, known)


@pytest.mark.parametrize(
    ("granted", "status"), [(("bank-east", "cf-west"), "routed"), ((), "held")], ids=["routed", "held"]
)
def test_a_repeat_under_another_revision(granted: tuple[str, ...], status: str) -> None:
    """Funders that changed their places, and another hash and states version, leave an earlier decision as it was."""
    world = World(NO_ROTATION)
    for funder_id in granted:
        world.handle(grant(funder_id))
    first = world.handle(request("dd-1"))
    assert first.decision.status == status

    world.policy = _turned_around({7: world.policy.revision})

    assert world.handle(request("dd-1"), T0 + SECOND).values == first.values
    assert world.route(request("dd-2")).config_revision == 8


@pytest.mark.parametrize("sha256", [None, "another"], ids=["not there", "begun anew"])
def test_a_log_of_revisions_that_was_lost(sha256: str | None) -> None:
    """Rather than guess at a decision whose revision nobody knows any more, the worker stops."""
    world = World(NO_ROTATION)
    world.handle(grant("cf-west"))
    world.handle(request("dd-1"))
    made_under = world.policy.revision

    world.policy = _turned_around({7: msgspec.structs.replace(made_under, sha256=sha256)} if sha256 else {})

    with pytest.raises(RevisionLost, match="revision 7"):
        world.handle(request("dd-1"), T0 + SECOND)


def test_a_decision_that_was_stored_whole() -> None:
    """Records from before decisions were remembered small answer a repeat with what they hold."""
    world = World(NO_ROTATION)
    first = world.handle(request("dd-1")).values[0]
    world.borrower().drawdowns["dd-1"].decision = first

    assert world.handle(request("dd-1"), T0 + SECOND).values == [first]
