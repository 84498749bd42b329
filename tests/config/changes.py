"""Records of `rotation-config` as people's actions make them."""

import json
from datetime import UTC, datetime
from typing import Any

from config.lifecycle import Lifecycle, advance
from config.problems import ConfigError
from config.records import (
    Activation,
    Approval,
    FunderSwitch,
    Proposal,
    Ramp,
    Record,
    Rollback,
    RotationSwitch,
    Withdrawal,
    encode,
)
from config.revisions import encode_record, first_revision
from config.rotation import Revision
from tests.config.shipped import DOCUMENT, changed

AT = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)
FIRST = encode_record(first_revision(DOCUMENT), author="loanrouter", reason="first", occurred_at=AT)
#: The shipped document with other weights for the first funder, and their hashes.
VERSIONS = [changed(("funders", 0, "weight"), weight) for weight in (4, 5)]
SHA256 = [first_revision(version).sha256 for version in VERSIONS]


def propose(author: str, version: int = 0, base: int = 1, draft: str = "d", *, replaces: str | None = None) -> Proposal:
    """A draft with one of the versions."""
    return Proposal(
        author=author,
        reason="more for East",
        occurred_at=AT,
        draft=draft,
        base=base,
        config=VERSIONS[version],
        config_sha256=SHA256[version],
        replaces=replaces,
    )


def approve(author: str, version: int = 0, base: int = 1, draft: str = "d") -> Approval:
    """An approval of a draft that is seen to hold one of the versions."""
    return Approval(
        author=author, reason="agreed", occurred_at=AT, draft=draft, base=base, config_sha256=SHA256[version]
    )


def activate(
    author: str,
    version: int = 0,
    base: int = 1,
    draft: str = "d",
    *,
    at: datetime | None = None,
    ramp: Ramp | None = None,
) -> Activation:
    """The activation of such a draft, at once or at a time, for all or by steps."""
    return Activation(
        author=author,
        reason="now",
        occurred_at=AT,
        draft=draft,
        base=base,
        config_sha256=SHA256[version],
        at=at,
        ramp=ramp,
    )


def withdraw(author: str, draft: str = "d") -> Withdrawal:
    """The end of a draft."""
    return Withdrawal(author=author, reason="no more wanted", occurred_at=AT, draft=draft)


def roll_back(to: int, base: int) -> Rollback:
    """The return to an earlier revision."""
    return Rollback(author="li", reason="worse than before", occurred_at=AT, base=base, to=to)


def pause(funder_id: str) -> FunderSwitch:
    """The pause of a funder."""
    return FunderSwitch(kind="pause", author="li", reason="captures", occurred_at=AT, funder_id=funder_id)


def resume(funder_id: str) -> FunderSwitch:
    """Its end."""
    return FunderSwitch(kind="resume", author="li", reason="explained", occurred_at=AT, funder_id=funder_id)


def switch_rotation(*, on: bool) -> RotationSwitch:
    """Rotation on or off."""
    return RotationSwitch(kind="rotation_on" if on else "rotation_off", author="li", reason="incident", occurred_at=AT)


def after(*records: Record | bytes) -> Lifecycle:
    """What stands after the first revision and these records, none of which may be refused."""
    state = advance(Lifecycle(), FIRST)
    for record in records:
        state = advance(state, record if isinstance(record, bytes) else encode(record))
    return state


def refusal(state: Lifecycle, record: Record) -> tuple[str, str] | None:
    """Key and reason when the record is refused."""
    try:
        advance(state, encode(record))
    except ConfigError as error:
        (problem,) = error.problems
        return problem.key, problem.reason
    return None


def active(state: Lifecycle) -> Revision:
    """The active revision."""
    assert state.active is not None
    return state.active


def document(revision: Revision) -> Any:
    """The document of a revision."""
    return json.loads(revision.canonical)
