"""What is known of one borrower: grants, drawdowns and the ledger. The value of the borrowers table.

Times are ms of stream time, money is fen. Records are packed as arrays: append fields with a default, never
reorder or remove them, or recorded state cannot be read again.
"""

from typing import Literal

import msgspec

from rotation.roster import Funders

LoanStatus = Literal["pending", "disbursed", "cancelled", "declined", "timed_out", "failed", "expired"]
DrawdownStatus = Literal["held", "routed", "rejected"]

#: Ledger entries that the rotation rules count; the others are exposure only.
COUNTED: frozenset[LoanStatus] = frozenset({"pending", "disbursed", "cancelled"})


class Grant(msgspec.Struct, array_like=True):
    """The last known answer of one funder, and the last events that told one."""

    status: str
    credit_limit: int
    apr_bp: int
    expires_at: int
    occurred_at: int
    event_ids: list[str]


class LedgerEntry(msgspec.Struct, array_like=True):
    """A drawdown routed to a funder.

    `owed_at_most` is the lowest outstanding that a repayment has told; `corrected` the outcome that the present one
    took the place of. `returned` tells that the borrower came back after the funder had answered, `settled_early_at`
    when (ms) the loan was settled early; it is 0 if it was not, and again when the borrower has come back since.
    `alone` tells that no other funder was asked when this one had refused.
    """

    drawdown_id: str
    attempt: int
    funder_id: str
    decided_at: int
    due: int
    amount: int
    risk_grade: str
    status: LoanStatus = "pending"
    owed_at_most: int | None = None
    corrected: LoanStatus | None = None
    returned: bool = False
    settled_early_at: int = 0
    alone: bool = False

    @property
    def outstanding(self) -> int:
        """Principal that is reserved or owed on this entry."""
        if self.status not in ("pending", "disbursed"):
            return 0
        return self.amount if self.owed_at_most is None else min(self.amount, self.owed_at_most)


class Drawdown(msgspec.Struct, array_like=True):
    """A drawdown request, where its routing stands, and its latest decision (`rotation.memory`).

    `wake_at` is when a held one falls due by itself: its expiry, an opening time or a new Shanghai day; `trace`
    the request's trace headers, for what time alone will say of it; `canary` a consenting staff account; `no_room` are
    the funders that lacked room, by code, when a held one was last tried.
    """

    drawdown_id: str
    fingerprint: bytes
    amount: int
    term_months: int
    region: str
    risk_grade: str
    age: int
    expires_at: int
    exclude_funders: list[str]
    trace: list[tuple[str, bytes]]
    attempt: int = 1
    status: DrawdownStatus | None = None
    wake_at: int = 0
    decided_at: int = 0
    decision: bytes = b""
    canary: bool = False
    no_room: dict[str, list[str]] = {}


class Made(msgspec.Struct, array_like=True, frozen=True):
    """What a drawdown and a revision do not tell of the drawdown's latest decision.

    `candidates` go by their place in the revision; `dropped` are the funders that each code drops.
    """

    reasons: list[str]
    relaxed: list[str]
    candidates: list[tuple[int, float]]
    dropped: dict[str, Funders]
    revision: int
    sha256: str
    states_version: int


class Borrower(msgspec.Struct, array_like=True):
    """One borrower. `seen` tells when each funder last saw them; `advised` the open credit-application advice."""

    grants: dict[str, Grant] = msgspec.field(default_factory=dict)
    ledger: list[LedgerEntry] = msgspec.field(default_factory=list)
    drawdowns: dict[str, Drawdown] = msgspec.field(default_factory=dict)
    seen: dict[str, int] = msgspec.field(default_factory=dict)
    advised: dict[str, int] = msgspec.field(default_factory=dict)
    region: str | None = None
    risk_grade: str | None = None
    age: int | None = None

    @property
    def wake_at(self) -> int | None:
        """When the first held drawdown falls due by itself; None when nothing is held."""
        first = None
        for drawdown in self.drawdowns.values():
            if drawdown.status == "held" and (first is None or drawdown.wake_at < first):
                first = drawdown.wake_at
        return first


_VERSION = 1
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Borrower)
_HEADER = 9


def encode_borrower(borrower: Borrower) -> bytes:
    """The stored form: version byte, next wake-up (8 bytes, 0 for none), msgpack."""
    return bytes((_VERSION,)) + (borrower.wake_at or 0).to_bytes(8, "big") + _encoder.encode(borrower)


def decode_borrower(stored: bytes | None) -> Borrower:
    """The borrower of a stored record; a new one for None.

    Raises:
        ValueError: the record was written by a version that this one does not know.
        msgspec.DecodeError: it is no such record.
    """
    if stored is None:
        return Borrower()
    version = stored[0] if stored else 0
    if version != _VERSION:
        raise ValueError(f"borrower record of unknown version {version}")
    return _decoder.decode(memoryview(stored)[_HEADER:])


def stored_wake_at(stored: bytes) -> int | None:
    """When a stored borrower wants to be woken, without decoding the record."""
    return int.from_bytes(stored[1:_HEADER], "big") or None
