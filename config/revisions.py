"""Revisions of the rotation configuration, and the records of `rotation-config` that carry them.

A revision's `config_sha256` is the SHA-256 of its document's canonical JSON: sorted keys, no spaces, UTF-8, of the
document as it was given. Anybody gets it with
`json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)`.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from config.document import read_json
from config.load import parse_config
from config.problems import ConfigError, Problem
from config.rotation import Revision

_SOURCE = "rotation-config"

Document = Mapping[str, Any]


class RevisionRecord(msgspec.Struct, frozen=True):
    """A record of `rotation-config`: a whole revision, who made it, when (RFC 3339) and why."""

    revision: int
    config: dict[str, Any]
    config_sha256: str
    author: str
    reason: str
    occurred_at: str
    kind: str = "revision"


def canonical_json(document: Document) -> bytes:
    """The one form of a document that is hashed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def config_sha256(document: Document) -> str:
    """The hash by which a revision's content is known."""
    return sha256(canonical_json(document)).hexdigest()


def revision_of(number: int, document: Document) -> Revision:
    """Revision `number` with this document; raises `ConfigError` when it cannot be used."""
    return Revision(number, config_sha256(document), parse_config(document, _SOURCE))


def encode_record(number: int, document: Document, *, author: str, reason: str, occurred_at: datetime) -> bytes:
    """The record that makes this document revision `number`; `occurred_at` is an aware time."""
    at = occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return msgspec.json.encode(
        RevisionRecord(number, dict(document), config_sha256(document), author, reason, occurred_at=at)
    )


def apply_record(active: Revision | None, raw: bytes) -> Revision:
    """The revision after a record of the log: its own, or the active one when it says the same once more.

    Two workers may both publish the first revision; then the second record changes nothing.

    Raises:
        ConfigError: the record is broken, out of turn, or its configuration cannot be used; `active` stays.
    """
    try:
        record = msgspec.convert(read_json(raw), RevisionRecord)
    except (ValueError, msgspec.ValidationError) as error:
        raise _refused("", f"is no record of a revision: {error}") from None
    if record.kind != "revision":
        raise _refused("kind", f"must be revision, but is {record.kind!r}")
    for key in ("author", "reason"):
        if not getattr(record, key).strip():
            raise _refused(key, "must say who changed it" if key == "author" else "must say why")
    if record.config_sha256 != config_sha256(record.config):
        raise _refused("config_sha256", "is not the SHA-256 of the configuration in the record")
    if active is not None and (record.revision, record.config_sha256) == (active.id, active.sha256):
        return active
    following = 1 if active is None else active.id + 1
    if record.revision != following:
        raise _refused("revision", f"must be {following}, but is {record.revision}: the log has moved on")
    return revision_of(record.revision, record.config)


def _refused(key: str, reason: str) -> ConfigError:
    return ConfigError([Problem(_SOURCE, None, key, reason)])
