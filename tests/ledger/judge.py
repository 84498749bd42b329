"""The audit of a run in which workers were killed or moved."""

from collections.abc import Sequence

import msgspec

from config.rotation import Revision
from market.audit import Report, audit
from market.audit.log import time_ms
from market.journal import Journal
from rotation.outputs import Decision

#: How much longer (ms) than the request that waited longest another topic's record may have waited.
SLACK_MS = 10_000


def judge(journal: Journal, revisions: Sequence[Revision], *, ended_at: int, prefix: str) -> Report:
    """Judge all that a run left in the topics; see `market.audit.audit`."""
    delay = _longest_delay(journal)
    return audit(
        journal.records,
        revisions,
        ended_at=ended_at,
        prefix=prefix,
        slack_ms=delay + SLACK_MS,
        skew_ms=delay,
        crashed=True,
    )


def _longest_delay(journal: Journal) -> int:
    """How long (ms) a decision came after its time: a worker was away, or slow, and what it had not read waited.

    So far apart were partitions, and so long a grant or an outcome may have lain unread.
    """
    decisions = [record for record in journal.records if record.topic == "routing-decisions"]
    return max(
        record.timestamp - time_ms(msgspec.json.decode(record.value or b"", type=Decision).decided_at)
        for record in decisions
    )
