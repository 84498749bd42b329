"""A histogram that takes the delays of a whole batch at once, with the trace of one of them in each bucket.

The client library's own takes one observation at a time, with a lock for each bucket on the way: too much for every
decision.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

_Bucket = tuple[str, float, Exemplar]

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Upper bounds of the buckets in seconds; a last one takes the rest."""


class DelayHistogram(Collector):
    """Delays in seconds, without labels."""

    def __init__(self, name: str, documentation: str, *, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._counts = [0] * (len(BOUNDS) + 1)
        self._exemplars: list[Exemplar | None] = [None] * len(self._counts)
        self._sum = 0.0
        registry.register(self)

    def observe(self, delays: Sequence[float], now: float, trace_id: Callable[[int], str | None]) -> None:
        """Take delays; `now` is in seconds of the epoch, `trace_id` tells the trace of a delay, by its index."""
        last: dict[int, int] = {}
        for index, delay in enumerate(delays):
            bucket = bisect_left(BOUNDS, delay)
            self._counts[bucket] += 1
            last[bucket] = index
        self._sum += sum(delays)
        for bucket, index in last.items():
            if (trace := trace_id(index)) is not None:
                self._exemplars[bucket] = Exemplar({"trace_id": trace}, delays[index], now)

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The family without samples."""
        yield HistogramMetricFamily(self._name, self._documentation)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The family as it stands."""
        bounds = (*map(str, BOUNDS), "+Inf")
        buckets = zip(bounds, accumulate(self._counts), self._exemplars, strict=True)
        # The library's type leaves out that a bucket may have no exemplar.
        yield HistogramMetricFamily(self._name, self._documentation, cast(list[_Bucket], list(buckets)), self._sum)
