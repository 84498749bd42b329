"""Weighted rendezvous hashing: who comes first among the funders left.

Each funder draws u from a hash of the drawdown and itself and is ranked by −ln(u)/weight, smallest first: the
minimum of exponentials, so a funder is first with probability weight/Σ, and removing one moves only its own
drawdowns. (Thaler & Ravishankar 1998; the weighted form: Schindelhauer & Schomaker 2005.)
"""

import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

_SCALE = 2.0**64
#: Digits kept of a propensity, so that the last bits of a platform's logarithm never reach a record.
_DIGITS = 9


class Stake(NamedTuple):
    """A funder's part in a draw: its weight, the bytes of its id, and its share of the weight of all that take part."""

    funder_id: str
    id_bytes: bytes
    weight: float
    propensity: float


def stakes(funder_ids: Iterable[str], weights: Mapping[str, float]) -> tuple[Stake, ...]:
    """The parts of these funders in a draw among them."""
    among = list(funder_ids)
    total = math.fsum([weights[funder_id] for funder_id in among])
    return tuple(
        Stake(
            funder_id,
            funder_id.encode(),
            weights[funder_id],
            round(weights[funder_id] / total, _DIGITS) if total > 0 else 0.0,
        )
        for funder_id in among
    )


def draw(among: Iterable[Stake], seed: str, subject: str, attempt: int) -> list[tuple[str, float]]:
    """The funders best first, each with its propensity.

    `subject` is what is being placed (a drawdown id), `attempt` its attempt; both enter the hash with `seed`.
    """
    prefix = f"{seed}\0{subject}\0{attempt}\0".encode()
    keyed = []
    for funder_id, id_bytes, weight, propensity in among:
        if weight > 0:
            drawn = int.from_bytes(blake2b(prefix + id_bytes, digest_size=8).digest(), "big")
            keyed.append((-math.log((drawn + 0.5) / _SCALE) / weight, funder_id, propensity))
        else:
            keyed.append((math.inf, funder_id, propensity))
    keyed.sort()
    return [(funder_id, propensity) for _, funder_id, propensity in keyed]


def rank(
    funder_ids: Iterable[str], weights: Mapping[str, float], seed: str, subject: str, attempt: int
) -> list[tuple[str, float]]:
    """A `draw` among these funders."""
    return draw(stakes(funder_ids, weights), seed, subject, attempt)
