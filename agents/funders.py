"""The funders' agent: from outcomes re-keyed by funder, and signals, to `funder-states` and `capture-alerts`."""

from collections import Counter
from collections.abc import Callable
from time import time

import faust
import msgspec

from capture import canaries, cusum
from capture.pass_rates import count, pass_rates
from capture.record import FunderRecord, decode_funder, encode_funder
from capture.review import review
from config.rotation import Funder
from config.settings import Settings
from rotation.clock import MINUTE
from rotation.events import CaptureSignal
from rotation.outputs import FunderOutcome, encode
from streams import metrics
from streams.batches import Batch, Output, PartitionBatch, PartitionResult, Record
from streams.codec import AHEAD, BadInput, decode
from streams.deadletters import dead_letter
from streams.guide import Guide
from streams.headers import SOURCE_HEADER, decode_source, header, trace_headers
from streams.topics import topic_name

#: Changed rates are published at most this often (ms of stream time); the contract asks for within 60 s.
REFRESH = MINUTE // 2

_outcome_decoder = msgspec.json.Decoder(FunderOutcome)
_clock_encoder = msgspec.msgpack.Encoder()
_clock_decoder = msgspec.msgpack.Decoder(int)


class FunderBook:
    """Keeps what is known of each funder."""

    def __init__(self, settings: Settings, guide: Guide, stream_time: Callable[[int], int]) -> None:
        """`stream_time` tells how far (ms) the borrowers' records of a partition number have come."""
        self._settings = settings
        self._guide = guide
        self._stream_time = stream_time
        self._signals = topic_name(settings, "capture-signals")

    async def run(self, batches: faust.Stream[Batch]) -> None:
        """Count every batch; the body of the Faust agent."""
        async for batch in batches:
            async with batch:
                await batch.commit({part.partition: self._count(part) for part in batch.partitions})

    def _count(self, part: PartitionBatch) -> PartitionResult:
        """Fold one partition's outcomes and signals in, and say which rates changed."""
        configured = {funder.id: funder for funder in self._guide.policy.config.funders}
        clock = _clock_decoder.decode(part.memo) if part.memo else 0
        wall = int(time() * 1000) if self._settings.clock == "wall" else None
        touched: dict[str, FunderRecord] = {}
        outputs: list[Output] = []
        for record in part.records:
            event = self._read(record, wall)
            if isinstance(event, BadInput):
                metrics.DEAD_LETTERS.labels(event.reason).inc()
                outputs.append(dead_letter(self._settings, record, event.reason, event.detail))
                continue
            clock = max(clock, record.timestamp)
            known = touched.get(event.funder_id)
            if known is None:
                known = touched[event.funder_id] = decode_funder(part.state.get(event.funder_id.encode()))
            if isinstance(event, CaptureSignal):
                _hear(known, event, record.timestamp)
            else:
                source = decode_source(header(record.headers, SOURCE_HEADER) or b"")
                self._learn(known, event, source, configured.get(event.funder_id))
                known.trace = list(trace_headers(record.headers))
        now = clock if part.records else max(clock, self._stream_time(part.partition) if wall is None else wall)
        changes: dict[bytes, bytes | None] = {}
        for key, stored in part.state.items():
            touched.setdefault(key.decode(), decode_funder(stored))
        for funder_id, known in touched.items():
            funder = configured.get(funder_id)
            if funder is not None:
                outputs += self._refresh(funder, known, now, wall or now)
            stored = encode_funder(known)
            if stored != part.state.get(funder_id.encode()):
                changes[funder_id.encode()] = stored
        return PartitionResult(changes, _clock_encoder.encode(clock), outputs)

    def _read(self, record: Record, wall: int | None) -> FunderOutcome | CaptureSignal | BadInput:
        if record.topic != self._signals:
            return _outcome_decoder.decode(record.value or b"")
        fields: Counter[str] = Counter()
        event = decode(
            "capture-signals",
            record.key,
            record.value,
            record.timestamp,
            known_funders=self._guide.policy.limits,
            latest=None if wall is None else wall + AHEAD,
            unknown_fields=fields,
        )
        for topic, number in fields.items():
            metrics.UNKNOWN_FIELDS.labels(topic).inc(number)
        if not isinstance(event, CaptureSignal | BadInput):
            raise TypeError("capture-signals hold nothing but signals")
        return event

    def _learn(
        self, known: FunderRecord, outcome: FunderOutcome, source: tuple[int, int], funder: Funder | None
    ) -> None:
        """Take in an outcome, unless it came before."""
        if count(known, outcome, source) and funder is not None:
            cusum.watch(known, outcome, funder, self._guide.policy.config.capture.pass_rate)
            if outcome.canary is not None:
                canaries.saw(known, outcome.canary, outcome.occurred_at)

    def _refresh(self, funder: Funder, known: FunderRecord, now: int, stamp: int) -> list[Output]:
        """What is to be said of a funder, when something changed and enough time went by."""
        if known.published is not None and now < known.published_at + REFRESH:
            return []
        config = self._guide.policy.config
        rates = pass_rates(known, funder, config.pass_rate_window_days, now)
        found = review(
            known, funder, config.capture, self._guide.states.get(funder.id), now, may_pause=self._may_pause()
        )
        state = msgspec.structs.replace(found.state, pass_rates=rates)
        if rates == known.published and state == known.state and not found.alerts:
            return []
        version = max(found.state.version, known.state.version if known.state is not None else 0) + 1
        known.published, known.published_at, known.state = rates, now, msgspec.structs.replace(state, version=version)
        key, trace = funder.id.encode(), tuple(known.trace)
        known.trace = []
        told = [("funder-states", encode(known.state)), *(("capture-alerts", encode(each)) for each in found.alerts)]
        return [Output(topic_name(self._settings, topic), key, value, stamp, trace) for topic, value in told]

    def _may_pause(self) -> bool:
        """Whether the ladder may pause one more funder."""
        config = self._guide.policy.config
        paused = sum(state.state == "paused" for state in self._guide.states.values())
        return paused + 1 <= config.capture.ladder.paused_at_most * len(config.funders)


def _hear(known: FunderRecord, signal: CaptureSignal, at: int) -> None:
    """Take in direct evidence."""
    known.signals[signal.kind] = known.signals.get(signal.kind, 0) + 1
    if signal.kind == "canary_contacted" and signal.customer_id is not None:
        canaries.called(known, signal.customer_id, at)
