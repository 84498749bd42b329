"""The keyed rule that every engine runs: rotate a borrower's drawdowns over twelve funders.

The funder of the borrower's last drawdown is left out; among the others the highest weighted slice of one hash of
the drawdown wins. State of a borrower: the numbers of its last funders, a byte each. `bench/kafka_streams/Rule.java`
does the same, byte for byte.
"""

import os
from zlib import crc32

import msgspec

from config.settings import Settings
from streams.topics import app_id, topic_name

FUNDERS = 12
KEPT = 4
_MIX = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1
_SHIFTS = tuple((number, 4 * number, 1 + number % 3) for number in range(FUNDERS))
_NAMES = tuple(f"funder-{number:02d}" for number in range(FUNDERS))


class Request(msgspec.Struct):
    """A drawdown request, as far as the rule goes."""

    drawdown_id: str
    customer_id: str
    amount: int


class Decision(msgspec.Struct):
    """Who takes it, and who had the borrower before."""

    drawdown_id: str
    customer_id: str
    amount: int
    funder_id: str
    before: list[str]


_decode = msgspec.json.Decoder(Request).decode
_encode = msgspec.json.Encoder().encode


def decide(state: bytes, value: bytes) -> tuple[bytes, bytes]:
    """The borrower's new state (`state` is empty at first), and the decision on the request in `value`."""
    request = _decode(value)
    mixed = crc32(request.drawdown_id.encode()) * _MIX & _MASK
    last = state[-1] if state else -1
    best = chosen = -1
    for number, shift, weight in _SHIFTS:
        score = (mixed >> shift & 0xFFFF) * weight
        if score > best and number != last:
            best, chosen = score, number
    before = [_NAMES[number] for number in state]
    decision = Decision(request.drawdown_id, request.customer_id, request.amount, _NAMES[chosen], before)
    return (state + bytes((chosen,)))[-KEPT:], _encode(decision)


class Names:
    """Servers, topics and group of this engine's process, from its environment."""

    def __init__(self) -> None:
        settings = self.settings = Settings.from_env(os.environ)
        self.kafka = settings.kafka
        self.group = app_id(settings)
        self.requests = topic_name(settings, "drawdown-requests")
        self.decisions = topic_name(settings, "routing-decisions")
        self.changelog = f"{self.group}-borrowers-changelog"
