"""The records of `rotation-config`, one kind for each thing that can happen to a configuration (`config.lifecycle`)."""

from typing import Annotated, Any, Literal

import msgspec

from config.document import read_json
from config.load import build
from config.revisions import RevisionRecord, Sha256, Time, read_record, refused, rfc3339
from config.rotation import Id, Positive, Text

_Replaced = Annotated[
    str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)", description="64 hexadecimal digits, or empty")
]

Share = Annotated[int, msgspec.Meta(ge=1, le=100, description="a whole number of per cent, from 1 to 100")]


class _Signed(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it, why and when."""

    author: Text
    reason: Text
    occurred_at: Time


class Proposal(_Signed, frozen=True, kw_only=True):
    """A draft, or the next version of one, made from the revision `base`. It voids all approvals of the draft.

    `replaces` is the hash of the version that its author edited, empty for a new draft: when another one stands, it is
    refused. Without it, it takes the place of whatever stands.
    """

    kind: Literal["propose"] = "propose"
    draft: Id
    base: Positive
    config: dict[str, Any]
    config_sha256: Sha256
    replaces: _Replaced | None = None


class Approval(_Signed, frozen=True, kw_only=True):
    """Somebody who wrote no version of the draft agrees with the one that has this base and hash."""

    kind: Literal["approve"] = "approve"
    draft: Id
    base: Positive
    config_sha256: Sha256


class Ramp(msgspec.Struct, frozen=True):
    """Shares of the borrowers (%) for whom a revision holds, each so many seconds after the one before; at last 100."""

    shares: Annotated[list[Share], msgspec.Meta(min_length=2, max_length=100)]
    every_seconds: Annotated[int, msgspec.Meta(ge=1, le=90 * 86_400, description="whole seconds, at most 90 days")]


class Activation(_Signed, frozen=True, kw_only=True):
    """The approved draft with this base and hash becomes the next revision: at once, or from the stream time `at`.

    With a `ramp` it holds for the first share of the borrowers from then on, and for all at the end.
    """

    kind: Literal["activate"] = "activate"
    draft: Id
    base: Positive
    config_sha256: Sha256
    at: Time | None = None
    ramp: Ramp | None = None


class Withdrawal(_Signed, frozen=True, kw_only=True):
    """The draft is given up; its id is never used again."""

    kind: Literal["withdraw"] = "withdraw"
    draft: Id


class Rollback(_Signed, frozen=True, kw_only=True):
    """The content of the earlier revision `to` becomes the next revision, while `base` is active."""

    kind: Literal["rollback"] = "rollback"
    base: Positive
    to: Positive


class FunderSwitch(_Signed, frozen=True, kw_only=True):
    """The active revision with one funder's status changed becomes the next revision."""

    kind: Literal["pause", "resume"]
    funder_id: Id


class RotationSwitch(_Signed, frozen=True, kw_only=True):
    """The active revision without rotation rules, or with those that stood last, becomes the next revision."""

    kind: Literal["rotation_off", "rotation_on"]


Reviewing = Approval | Activation
Record = RevisionRecord | Proposal | Reviewing | Withdrawal | Rollback | FunderSwitch | RotationSwitch

_KINDS: dict[str, type[_Signed]] = {
    "propose": Proposal,
    "approve": Approval,
    "activate": Activation,
    "withdraw": Withdrawal,
    "rollback": Rollback,
    "pause": FunderSwitch,
    "resume": FunderSwitch,
    "rotation_off": RotationSwitch,
    "rotation_on": RotationSwitch,
}


def encode(record: Record) -> bytes:
    """The value of a record; its key is `config`."""
    fields = {**msgspec.to_builtins(record), "occurred_at": rfc3339(record.occurred_at)}
    if isinstance(record, Activation):
        fields |= {"at": record.at and rfc3339(record.at)}
        fields = {name: value for name, value in fields.items() if value is not None}
    return msgspec.json.encode(fields)


def read(raw: bytes) -> Record:
    """A record's own fields, a configuration in it unchecked; raises `ConfigError`. Unknown fields are ignored."""
    try:
        document = read_json(raw)
    except ValueError:
        return read_record(raw)
    kind = document.get("kind") if isinstance(document, dict) else None
    if not isinstance(kind, str) or kind not in _KINDS:
        return read_record(raw)
    record, findings = build(document, _KINDS[kind])
    if record is None:
        raise refused(findings)
    return record  # type: ignore[return-value]
