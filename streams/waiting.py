"""Records that were fetched and not handed on yet, since others of their partition number may come before them.

A worker that is far behind fetches each topic piece by piece, and a piece of a quiet topic reaches further in time than
one of a busy topic. Were both handed on, stream time would jump to the end of the quiet one, and whatever the busy one
still holds would come late.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from heapq import merge
from math import inf

from faust.types import TP

from streams.batches import Record

#: How long (seconds) records wait for those of a topic that is known to have more, and whose broker does not answer.
PATIENCE = 10.0


class Waiting:
    """What was fetched for one agent. `topics` stand in the order that decides equal timestamps."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics
        self._lists: defaultdict[int, dict[str, list[Record]]] = defaultdict(dict)
        self._since: dict[int, float] = {}
        self._silent: set[TP] = set()

    @property
    def partitions(self) -> Set[int]:
        """The partition numbers of which records wait."""
        return self._lists.keys()

    def holds(self, tp: TP) -> bool:
        """Whether records of this partition wait: then no more are needed yet."""
        return tp.topic in self._lists.get(tp.partition, ())

    def clear(self) -> None:
        """Forget all: they are fetched again."""
        self._lists.clear()
        self._since.clear()
        self._silent.clear()

    def add(self, fetched: Mapping[TP, list[Record]]) -> None:
        """These were fetched, of partitions of which none waited."""
        for tp, records in fetched.items():
            self._silent.discard(tp)
            self._lists[tp.partition][tp.topic] = records

    def take(self, unread: Set[TP], now: float, latest: float = inf) -> dict[int, list[Record]]:
        """By partition number, what may be handed on `now` (seconds, monotonic). Those of `unread` have more to come.

        Records stamped after `latest` (ms) are bad input: they wait for nobody.
        """
        topics: defaultdict[int, set[str]] = defaultdict(set)
        for tp in unread - self._silent:
            topics[tp.partition].add(tp.topic)
        ready = {}
        for partition in list(self._lists):
            more = topics[partition]
            records = self._merged(partition, more, latest)
            if not records and now - self._since.setdefault(partition, now) >= PATIENCE:
                self._silent |= {TP(topic, partition) for topic in more - self._lists[partition].keys()}
                records = self._merged(partition, more & self._lists[partition].keys(), latest)
            if records:
                self._since.pop(partition, None)
                self._remove(partition, records)
                ready[partition] = records
        return ready

    def _merged(self, partition: int, more: Set[str], latest: float) -> list[Record]:
        by_topic = self._lists[partition]
        if more - by_topic.keys():
            return []
        last = {topic: by_topic[topic][-1].offset for topic in more}
        in_order = in_timestamp_order([by_topic.get(topic, []) for topic in self._topics], latest)
        return list(_until_one_runs_out(in_order, last))

    def _remove(self, partition: int, records: Sequence[Record]) -> None:
        by_topic = self._lists[partition]
        ends = {record.topic: record.offset for record in records}
        for topic, end in ends.items():
            by_topic[topic] = [record for record in by_topic[topic] if record.offset > end]
            if not by_topic[topic]:
                del by_topic[topic]
        if not by_topic:
            del self._lists[partition]


def in_timestamp_order(lists: Sequence[list[Record]], latest: float = inf) -> Iterator[Record]:
    """Merge the record lists of one partition number, given in the order of topics.

    Only the heads of the lists are compared, so one topic's records keep their offset order even when its
    timestamps go back. Equal timestamps: in the order of topics. What is stamped after `latest` (ms) comes at once.
    """
    present = [records for records in lists if records]
    if len(present) == 1:
        return iter(present[0])
    return merge(*present, key=lambda record: record.timestamp if record.timestamp <= latest else 0)


def _until_one_runs_out(records: Iterator[Record], last: Mapping[str, int]) -> Iterator[Record]:
    """Up to the first that is the last known, by offset, of its topic."""
    for record in records:
        yield record
        if last.get(record.topic) == record.offset:
            return
