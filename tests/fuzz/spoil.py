"""Bytes that were good, spoilt at random; the same chance spoils them the same way."""

import re
from collections.abc import Callable, Sequence
from random import Random

#: What parsers trip over: JSON and YAML marks, numbers too large, broken text, msgpack types.
PIECES = (
    *(b"null", b"true", b"1e999", b"-0", b"99999999999999999999", b"0.1", b'"', b"'", b"{", b"}", b"[", b"]", b":"),
    *(b"\\u0000", b"\\ud800", b"\\", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x00", b"\n", b"\t", b"- "),
    *(b"&a ", b"*a", b"<<: ", b"!!python/name:os.system ", b"---\n", b"%", b";", b",", b"[" * 2000),
    *(b"\xc1", b"\xdf\xff\xff\xff\xff", b"\xc7"),
)
_VALUE = re.compile(rb'(?<=:)\s*("[^"]*"|[-0-9.]+|true|false|null)')


def spoil(value: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    """One to four changes; `others` are good values, whose parts may be put in."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        value = chance.choice(_WAYS)(value, others, chance)
    return value


def _flip(value: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    if not value:
        return value
    at = chance.randrange(len(value))
    return value[:at] + bytes((value[at] ^ 1 << chance.randrange(8),)) + value[at + 1 :]


def _cut(value: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    begin, end = _span(value, chance)
    return value[:begin] + value[end:]


def _repeat(value: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    begin, end = _span(value, chance)
    return value[:end] + value[begin:]


def _insert(value: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    begin, end = _span(value, chance)
    piece = chance.choice((chance.choice(PIECES), chance.randbytes(chance.randrange(9))))
    return value[:begin] + piece + value[chance.choice((begin, end)) :]


def _splice(value: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    other = chance.choice(others)
    return value[: chance.randint(0, len(value))] + other[chance.randint(0, len(other)) :]


def _replace(value: bytes, others: Sequence[bytes], chance: Random) -> bytes:
    """Another value for a field of a JSON object, perhaps that of another field."""
    found = list(_VALUE.finditer(value))
    if not found:
        return _flip(value, others, chance)
    field = chance.choice(found)
    piece = chance.choice((chance.choice(PIECES), chance.choice(found)[0], b'"%d"' % chance.randrange(10**6), b"-1"))
    return value[: field.start()] + piece + value[field.end() :]


def _span(value: bytes, chance: Random) -> tuple[int, int]:
    begin = chance.randint(0, len(value))
    return begin, min(len(value), begin + chance.choice((1, 2, 8, 64)))


_WAYS: tuple[Callable[[bytes, Sequence[bytes], Random], bytes], ...] = (
    _flip,
    _cut,
    _repeat,
    _insert,
    _splice,
    _replace,
    _replace,
)
