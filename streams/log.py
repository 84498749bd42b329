"""Recorded logs: Kafka records as JSON lines of topic, partition, offset, timestamp, key, headers and value.

`value` is the JSON document itself when the bytes are its compact form, else the text as a string under
`value_text`, else `value_base64`; null is a null value. `headers` is a list of [name, text], or of
[name, null, base64] for bytes that are no text, [name, null] for a null value.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import msgspec

from config.settings import Settings
from streams.topics import partition_of

_decoder = msgspec.json.Decoder(dict[str, Any])


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of a topic. `timestamp` in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class LogError(Exception):
    """A line of a log cannot be read: says which of what file, and why."""


def read_log(lines: Iterable[str | bytes], settings: Settings, name: str = "log") -> Iterator[LogRecord]:
    """The records of a log, their topics without the common prefix; blank lines are passed over.

    Raises `LogError`, which says where in the log, called `name`, what is wrong.
    A line without a partition is a record that nobody has published yet: it gets the partition of its key.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield _record(_decoder.decode(line), settings, number - 1)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
            problem = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise LogError(f"{name}:{number}: {problem}") from None


def log_line(record: LogRecord) -> bytes:
    """One line of a log, with its line end."""
    document = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        **_written("key", record.key),
        "headers": [_written_header(name, value) for name, value in record.headers],
        **_written_value(record.value),
    }
    return msgspec.json.encode(document) + b"\n"


def _record(line: dict[str, Any], settings: Settings, number: int) -> LogRecord:
    key = _read(line, "key")
    partition = line.get("partition")
    return LogRecord(
        topic=str(line["topic"]).removeprefix(settings.topic_prefix),
        partition=partition_of(key or b"", settings.partitions) if partition is None else int(partition),
        offset=int(line.get("offset", number)),
        timestamp=int(line["timestamp"]),
        key=key,
        value=_read_value(line),
        headers=tuple(_read_header(each) for each in _pairs(line.get("headers"))),
    )


def _read(line: dict[str, Any], name: str) -> bytes | None:
    if f"{name}_base64" in line:
        return b64decode(line[f"{name}_base64"], validate=True)
    text = line.get(name)
    if text is not None and not isinstance(text, str):
        raise TypeError(f"{name} is neither text nor null")
    return None if text is None else text.encode()


def _read_value(line: dict[str, Any]) -> bytes | None:
    if "value_text" in line or "value_base64" in line:
        return _read({"value": line.get("value_text"), **line} if "value_text" in line else line, "value")
    document = line["value"]
    return None if document is None else msgspec.json.encode(document)


def _pairs(headers: Any) -> Iterable[Any]:
    return headers.items() if isinstance(headers, dict) else headers or ()


def _read_header(header: Any) -> tuple[str, bytes | None]:
    if isinstance(header, dict):
        header = (header["key"], header["value"])
    name, text, *coded = header
    if coded:
        return name, b64decode(coded[0], validate=True)
    return name, None if text is None else str(text).encode()


def _written(name: str, value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(value).decode()}


def _written_value(value: bytes | None) -> dict[str, Any]:
    if value is None:
        return {"value": None}
    with suppress(msgspec.DecodeError, RecursionError):
        if msgspec.json.encode(msgspec.json.decode(value)) == value and value != b"null":
            return {"value": msgspec.Raw(value)}
    try:
        return {"value_text": value.decode()}
    except UnicodeDecodeError:
        return {"value_base64": b64encode(value).decode()}


def _written_header(name: str, value: bytes | None) -> list[Any]:
    if value is None:
        return [name, None]
    try:
        return [name, value.decode()]
    except UnicodeDecodeError:
        return [name, None, b64encode(value).decode()]
