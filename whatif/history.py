"""What all partitions share: the recorded configurations and funders' states, and the draft under each of them."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agents.recorded import Log
from config.rotation import Funder, Revision
from rotation.outputs import FunderState
from rotation.policy import Policy
from streams.archive import Summary, read_partition
from streams.log import LogRecord

_SHARED_TOPICS = ("rotation-config", "funder-states", "dead-letters")
_MOST_POLICIES = 1000
#: What a policy works out of its revision alone: worked out once for all versions of the funders' states.
_OF_THE_REVISION = ("unlicensed", "against_grade", "against_age", "against_amount", "without_term", "closed")


def read_shared(folder: Path, summary: Summary) -> Log:
    """What an archive holds of configurations, funders' states and refused inputs.

    Raises:
        ValueError: it holds no configuration.
        streams.archive.ArchiveError: it is not whole.
    """
    return Log(_shared(folder, summary), None)


def _shared(folder: Path, summary: Summary) -> Iterator[LogRecord]:
    for topic in _SHARED_TOPICS:
        for partition in summary.records.get(topic, {}):
            yield from read_partition(folder, summary, topic, partition)


class Drafted:
    """The draft's policies under the funders' states that were published."""

    def __init__(self, draft: Revision) -> None:
        self.draft = draft
        self._bare = _without_advice(draft)
        self._offsets: defaultdict[str, list[int]] = defaultdict(list)
        self._states: defaultdict[str, list[FunderState]] = defaultdict(list)
        self.base = Policy(self._bare, {}, -1)
        self._policies: dict[int, Policy] = {}

    def learn(self, offset: int, state: FunderState) -> None:
        """The next record of `funder-states`."""
        self._offsets[state.funder_id].append(offset)
        self._states[state.funder_id].append(state)

    def policy(self, version: int) -> Policy:
        """The draft's policy with the funders' states up to this offset."""
        known = self._policies.get(version)
        if known is None:
            if len(self._policies) == _MOST_POLICIES:
                del self._policies[next(iter(self._policies))]
            states = {id_: state for id_ in self._offsets if (state := self._state(id_, version)) is not None}
            known = self._policies[version] = Policy(self._bare, states, version)
            for table in _OF_THE_REVISION:
                setattr(known, table, getattr(self.base, table))
        return known

    def _state(self, funder_id: str, version: int) -> FunderState | None:
        place = bisect_right(self._offsets.get(funder_id, []), version)
        return self._states[funder_id][place - 1] if place else None


class History(Drafted):
    """The draft's policies under the recorded funders' states, and what both sides' loans bring in.

    `since` is from when on requests count (ms); those before only make ledgers what they are.
    """

    def __init__(self, log: Log, draft: Revision, since: int = 0) -> None:
        super().__init__(draft)
        self.since = since
        self.log = log
        self.active = log.lifecycle.past[-1]
        self._funders: dict[str, Funder] = {funder.id: funder for funder in draft.config.funders}
        for offset, _, state in log.states:
            self.learn(offset, state)
        self._limits = {id_: Policy(revision, {}, -1).limits for id_, revision in log.lifecycle.revisions.items()}
        self._fees = {
            id_: {funder.id: funder.fee_bp for funder in revision.config.funders}
            for id_, revision in log.lifecycle.revisions.items()
        }
        self.known_funders = log.funder_ids | frozenset(self._funders)
        self.funder_ids = sorted(self.known_funders)
        self.places = {funder_id: place for place, funder_id in enumerate(self.funder_ids)}

    def pass_rate(self, funder_id: str, risk_grade: str, version: int) -> float:
        """What the platform took a funder's pass rate to be."""
        state = self._state(funder_id, version)
        prior = self._funders[funder_id].pass_rate_prior.rate
        return prior if state is None else state.pass_rates.get(risk_grade, prior)

    def waits(self, revision: int) -> int:
        """How long a reservation waited for its outcome under a recorded revision (ms)."""
        recorded = self.log.lifecycle.revisions.get(revision, self.active)
        return recorded.config.reservation.ttl_seconds * 1000

    def same_limits(self, funder_id: str | None, revision: int) -> bool:
        """Whether a funder's quota and guarantee under a recorded revision are those of the draft."""
        recorded = self._limits.get(revision, {}).get(funder_id or "")
        return recorded is not None and recorded == self.base.limits.get(funder_id or "")

    def same_seed(self, revision: int) -> bool:
        """Whether a recorded revision drew by the same hash as the draft; one that is not recorded counts as not."""
        recorded = self.log.lifecycle.revisions.get(revision)
        return recorded is not None and recorded.config.selection.seed == self.draft.config.selection.seed

    def fee_bp(self, funder_id: str, revision: int) -> int:
        """What a loan brought in under a recorded revision, basis points of its amount."""
        return self._fees.get(revision, {}).get(funder_id, 0)

    def draft_fee_bp(self, funder_id: str, revision: int) -> int:
        """What it brings in under the draft; as recorded at a funder that the draft does not have."""
        funder = self._funders.get(funder_id)
        return self.fee_bp(funder_id, revision) if funder is None else funder.fee_bp


def _without_advice(revision: Revision) -> Revision:
    """The revision without advice where to apply, which decides nothing and takes time."""
    rotation = msgspec.structs.replace(revision.config.rotation, min_live_grants=0)
    return msgspec.structs.replace(revision, config=msgspec.structs.replace(revision.config, rotation=rotation))
