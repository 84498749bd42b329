"""The audit of a run in which workers were killed or moved."""

from collections.abc import Sequence

import msgspec

from config.rotation import Revision
from market.audit import Report, audit
from market.audit.log import time_ms
from market.journal import Journal
from rotation.outputs import Decision

SLACK_MS = 20_000


def judge(
    journal: Journal, revisions: Sequence[Revision], *, ended_at: int, prefix: str, slack_ms: int = SLACK_MS
) -> Report:
    """Judge all that a run left in the topics; see `market.audit.audit`."""
    return audit(
        journal.records,
        revisions,
        ended_at=ended_at,
        prefix=prefix,
        slack_ms=slack_ms,
        skew_ms=_longest_delay(journal),
        crashed=True,
    )


def _longest_delay(journal: Journal) -> int:
    """How long (ms) a decision came after its time: so far apart were partitions, of which a killed worker had some."""
    decisions = [record for record in journal.records if record.topic == "routing-decisions"]
    return max(
        record.timestamp - time_ms(msgspec.json.decode(record.value or b"", type=Decision).decided_at)
        for record in decisions
    )
