"""A journal written by hand: what a demo has read, drawdown by drawdown."""

from pathlib import Path

import msgspec

from config.load import load_file
from config.revisions import first_revision
from market.audit.log import Record
from market.journal import Journal
from market.publication import moment, rfc3339
from rotation.events import DrawdownOutcome
from rotation.outputs import Candidate, Decision, encode

REVISION = first_revision(load_file(Path(__file__).parents[2] / "market" / "rotation.yaml"))
#: 14:00 in Shanghai, when every funder of the market is open.
START = 1_793_512_800_000
AMOUNT = 500_000


class Played:
    """Fills a journal; each step is a second after the one before."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.now = START
        self._number = 0

    def routed(
        self,
        customer_id: str,
        funder_id: str,
        outcome: str | None = None,
        *,
        relaxed: tuple[str, ...] = (),
        kept_out: tuple[str, ...] = (),
        took_ms: int = 50,
    ) -> Decision:
        """A request of the borrower, routed to the funder; what became of it. `kept_out` by rotation rules."""
        self._number += 1
        drawdown_id = f"dd-{self._number}"
        decision = Decision(
            decision_id=f"{drawdown_id}:1",
            drawdown_id=drawdown_id,
            customer_id=customer_id,
            attempt=1,
            status="routed",
            funder_id=funder_id,
            decided_at=rfc3339(moment(self.now)),
            expires_at=rfc3339(moment(self.now + 20_000)),
            reasons=["only_candidate", *(["relaxed"] if relaxed else [])],
            relaxed=list(relaxed),
            candidates=[Candidate(funder_id, 1.0)],
            excluded={each: ["never_last"] for each in kept_out},
            config_revision=REVISION.id,
            config_sha256=REVISION.sha256,
            funder_states_version=-1,
        )
        self.journal.asked(drawdown_id, AMOUNT, self.now)
        self.journal.published += 1
        self.again(decision, took_ms)
        if outcome is not None:
            event = DrawdownOutcome(
                event_id=f"{drawdown_id}-outcome",
                occurred_at=moment(self.now),
                drawdown_id=drawdown_id,
                customer_id=customer_id,
                funder_id=funder_id,
                attempt=1,
                status=outcome,  # type: ignore[arg-type]
                amount=AMOUNT if outcome == "disbursed" else None,
            )
            self.journal.published += 1
            self._read("drawdown-outcomes", customer_id, msgspec.json.encode(event), self.now)
        self.now += 1000
        return decision

    def again(self, decision: Decision, took_ms: int) -> None:
        """The decision is read (again)."""
        self._read("routing-decisions", decision.customer_id, encode(decision), self.now + took_ms)

    def dead_letter(self, reason: str, *, planted: bool = True) -> None:
        """A bad record is refused."""
        if planted:
            self.journal.published += 1
            self.journal.expected[reason] += 1
        self._read("dead-letters", "cust-astray", b"{", self.now, (("dlq.reason", reason.encode()),))

    def _read(
        self, topic: str, key: str, value: bytes, at: int, headers: tuple[tuple[str, bytes | None], ...] = ()
    ) -> None:
        offset = len(self.journal.records)
        self.journal.add(Record(topic, 0, offset, at, key.encode(), value, headers, received=at))
