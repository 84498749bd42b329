"""Weighted rendezvous hashing: who comes first among the funders left.

Each funder draws u from a hash of the drawdown and itself and is ranked by −ln(u)/weight, smallest first: the
minimum of exponentials, so a funder is first with probability weight/Σ, and removing one moves only its own
drawdowns. (Thaler & Ravishankar 1998; the weighted form: Schindelhauer & Schomaker 2005.)
"""

import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b

_SCALE = 2.0**64
#: Digits kept of a propensity, so that the last bits of a platform's logarithm never reach a record.
_DIGITS = 9


def rank(
    funder_ids: Iterable[str], weights: Mapping[str, float], seed: str, subject: str, attempt: int
) -> list[tuple[str, float]]:
    """The funders best first, each with its propensity: its share of the weight of those given.

    `subject` is what is being placed (a drawdown id), `attempt` its attempt; both enter the hash with `seed`.
    """
    among = list(funder_ids)
    total = math.fsum(weights[funder_id] for funder_id in among)
    prefix = f"{seed}\0{subject}\0{attempt}\0".encode()
    keyed = sorted((_key(prefix, funder_id, weights[funder_id]), funder_id) for funder_id in among)
    return [(funder_id, round(weights[funder_id] / total, _DIGITS) if total > 0 else 0.0) for _, funder_id in keyed]


def _key(prefix: bytes, funder_id: str, weight: float) -> float:
    if weight <= 0:
        return math.inf
    drawn = int.from_bytes(blake2b(prefix + funder_id.encode(), digest_size=8).digest(), "big")
    return -math.log((drawn + 0.5) / _SCALE) / weight
