"""Revisions of the configuration and the records of `rotation-config` that carry them.

`config_sha256` is that of the canonical JSON of the document *as it was given*: sorted keys, no spaces, UTF-8,
nothing filled in, numbers as written (3 stays 3, 3.0 stays 3.0, in YAML as in JSON). Anybody can compute it:
`json.dumps(yaml.safe_load(file), sort_keys=True, separators=(",", ":"), ensure_ascii=False)`.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from config.document import read_json
from config.load import build, build_config, parse_config
from config.problems import ConfigError, Finding, located
from config.rotation import Positive, Revision, RotationConfig, Text

TOPIC = "rotation-config"

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)", description="64 hexadecimal digits")]
Time = Annotated[datetime, msgspec.Meta(tz=True, description="an RFC 3339 time with zone")]


class RevisionRecord(msgspec.Struct, frozen=True):
    """One record of `rotation-config`: a whole configuration, and who made it active, when and why."""

    kind: Literal["revision"]
    revision: Positive
    config: dict[str, Any]
    config_sha256: Sha256
    author: Text
    reason: Text
    occurred_at: Time


def canonical_json(document: Any) -> bytes:
    """The one form in which a document is hashed; raises `ValueError` for what JSON cannot hold."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def first_revision(document: dict[str, Any]) -> Revision:
    """Revision 1 of a document; raises `ConfigError` without lines (`config.load.load_file` gives them)."""
    return revision_of(1, document, parse_config(document))


def encode_record(revision: Revision, *, author: str, reason: str, occurred_at: datetime) -> bytes:
    """The record (its key is `config`) that makes a revision active. `occurred_at` must know its zone."""
    return msgspec.json.encode(
        {
            "kind": "revision",
            "revision": revision.id,
            "config": msgspec.Raw(revision.canonical),
            "config_sha256": revision.sha256,
            "author": author,
            "reason": reason,
            "occurred_at": rfc3339(occurred_at),
        }
    )


def read_record(raw: bytes) -> RevisionRecord:
    """A record's own fields, its configuration unchecked; raises `ConfigError`. Unknown fields are ignored."""
    try:
        document = read_json(raw)
    except ValueError as error:
        raise refused([Finding((), f"not JSON: {error}")]) from None
    record, findings = build(document, RevisionRecord)
    if record is None:
        raise refused(findings)
    return record


def apply_record(active: Revision | None, raw: bytes, following: int | None = None) -> Revision:
    """The revision that is active after a record; `active` itself when the record repeats it.

    Two workers may both publish the first revision; the second record then changes nothing. `following` is the number
    that the next revision must have, by default the one after the active one's.

    Raises:
        ConfigError: the record is broken, is not the next revision, or is not what its hash says; `active` stays.
    """
    record = read_record(raw)
    revision, findings = check_content(record.revision, record.config, record.config_sha256)
    if not findings and active is not None and (revision.id, revision.sha256) == (active.id, active.sha256):
        return active
    following = following or (1 if active is None else active.id + 1)
    if revision.id != following:
        findings.append(Finding(("revision",), f"must be the next one, {following}, but is {revision.id}"))
    if findings:
        raise refused(findings)
    return revision


def check_content(number: int, document: Any, sha256: str) -> tuple[Revision, list[Finding]]:
    """The revision in a record's `config`, and a finding when it is not what its hash says.

    Raises:
        ConfigError: the configuration cannot be used; its keys are told under `config`.
    """
    config, findings = build_config(document)
    if config is None:
        raise refused([Finding(("config", *path), reason) for path, reason in findings])
    revision = revision_of(number, document, config)
    if sha256 == revision.sha256:
        return revision, []
    return revision, [Finding(("config_sha256",), f"the configuration in this record has the hash {revision.sha256}")]


def revision_of(number: int, document: dict[str, Any], config: RotationConfig) -> Revision:
    """The revision of a document that was checked, and of the configuration that was made of it."""
    canonical = canonical_json(document)
    return Revision(number, hashlib.sha256(canonical).hexdigest(), config, canonical)


def refused(findings: list[Finding]) -> ConfigError:
    """The refusal of a record."""
    return ConfigError(located(findings, TOPIC, {}))


def rfc3339(at: datetime) -> str:
    """A time as records hold it: UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
