"""The funders' agent: from what borrowers' agents tell of each funder, and signals, to its standing and alerts."""

from collections import Counter
from time import time

import faust
import msgspec

from capture.ladder import pause_allowed
from capture.learn import hear, learn
from capture.pacing import price
from capture.pass_rates import pass_rates
from capture.peers import encode_peer, others, peer
from capture.record import FunderRecord, decode_funder, encode_funder
from capture.review import review
from capture.silence import silent
from config.rotation import Funder, RotationConfig
from config.settings import Settings
from rotation.clock import MINUTE
from rotation.events import CaptureSignal
from rotation.outputs import FunderEvent, FunderState, encode
from rotation.policy import Policy
from streams import metrics
from streams.batches import Batch, Output, PartitionBatch, PartitionResult, Record
from streams.codec import AHEAD, BadInput, decode
from streams.deadletters import dead_letter
from streams.guide import Guide
from streams.headers import SOURCE_HEADER, Source, Trace, header, trace_headers
from streams.topics import topic_name

#: Changed rates are published at most this often (ms of stream time); the contract asks for within 60 s.
REFRESH = MINUTE // 2

_event_decoder: msgspec.json.Decoder[FunderEvent] = msgspec.json.Decoder(FunderEvent)
_clock_encoder = msgspec.msgpack.Encoder()
_clock_decoder = msgspec.msgpack.Decoder(int)


class FunderBook:
    """Keeps what is known of each funder.

    With the stream clock a funder's time is the furthest that this worker knows of: that of the borrowers' partitions
    that it holds, and of all outcomes and signals that it has read.
    """

    def __init__(self, settings: Settings, guide: Guide) -> None:
        self._settings = settings
        self._guide = guide
        self._signals = topic_name(settings, "capture-signals")
        self._read_before: dict[tuple[int, bytes], tuple[bytes, FunderRecord]] = {}
        self._said: dict[str, FunderState] = {}

    async def run(self, batches: faust.Stream[Batch]) -> None:
        """Count every batch; the body of the Faust agent."""
        async for batch in batches:
            async with batch:
                for part in batch.partitions:
                    self._look_up(part)
                await batch.commit({part.partition: self._count(part) for part in batch.partitions})

    def _look_up(self, part: PartitionBatch) -> None:
        """Learn where the funders of a partition stand by its records, whoever wrote them, before any is judged."""
        for key, stored in part.state.items():
            known = self._known(part, key)
            self._read_before[part.partition, key] = (stored, known)
            if known.state is not None:
                self._said[key.decode()] = known.state

    def _count(self, part: PartitionBatch) -> PartitionResult:
        """Fold one partition's outcomes and signals in, and say which rates changed."""
        clock = _clock_decoder.decode(part.memo) if part.memo else 0
        wall = int(time() * 1000) if self._settings.clock == "wall" else None
        reached = self._guide.reached if wall is None else wall
        told = max((record.timestamp for record in part.records), default=0)
        policy = self._guide.plan.at(max(clock, told, reached))
        configured = {funder.id: funder for funder in policy.config.funders}
        rules = policy.config.capture
        touched: dict[str, FunderRecord] = {}
        outputs: list[Output] = []
        for record in part.records:
            event = self._read(record, wall, policy)
            if isinstance(event, BadInput):
                metrics.DEAD_LETTERS.labels(event.reason).inc()
                outputs.append(dead_letter(self._settings, record, event.reason, event.detail))
                continue
            clock = max(clock, record.timestamp)
            known = touched.get(event.funder_id)
            if known is None:
                known = touched[event.funder_id] = self._known(part, event.funder_id.encode())
            if isinstance(event, CaptureSignal):
                new = hear(known, event, record.timestamp)
                metrics.CAPTURE_SIGNALS.labels(event.funder_id, event.kind).inc(new)
            else:
                source = Source.decode(header(record.headers, SOURCE_HEADER) or b"")
                new = learn(known, event, source, configured.get(event.funder_id), rules)
            if new and (trace := trace_headers(record.headers)):
                known.trace = list(trace)
        self._guide.reach(clock)
        now = clock if part.records else max(clock, reached)
        changes: dict[bytes, bytes | None] = {}
        for funder_id in {**touched, **dict.fromkeys(key.decode() for key in part.state)}:
            key = funder_id.encode()
            known = touched.get(funder_id) or self._known(part, key)
            funder = configured.get(funder_id)
            since = now - known.published_at
            heard = since > 0 and self._unheard(funder_id, known)  # alerts of one moment would have the same id
            due = funder is not None and (known.published is None or since >= REFRESH or heard)
            if funder is not None and due:
                outputs += self._refresh(funder, known, now, wall or now, policy.config)
            stored = encode_funder(known) if due or funder_id in touched else part.state[key]
            self._read_before[part.partition, key] = (stored, known)
            if stored != part.state.get(key):
                changes[key] = stored
        return PartitionResult(changes, _clock_encoder.encode(clock), outputs)

    def _known(self, part: PartitionBatch, key: bytes) -> FunderRecord:
        """The funder's record; read anew only when the stored one is not what this worker last made of it.

        Taken out until the batch is counted: what a failed batch has half changed is not used again.
        """
        stored = part.state.get(key)
        made, known = self._read_before.pop((part.partition, key), (b"", None))
        return known if known is not None and made == stored else decode_funder(stored)

    def _read(self, record: Record, wall: int | None, policy: Policy) -> FunderEvent | CaptureSignal | BadInput:
        if record.topic != self._signals:
            told: FunderEvent = _event_decoder.decode(record.value or b"")
            return told
        fields: Counter[str] = Counter()
        event = decode(
            "capture-signals",
            record.key,
            record.value,
            record.timestamp,
            known_funders=policy.limits,
            latest=None if wall is None else wall + AHEAD,
            unknown_fields=fields,
        )
        for topic, number in fields.items():
            metrics.UNKNOWN_FIELDS.labels(topic).inc(number)
        if not isinstance(event, CaptureSignal | BadInput):
            raise TypeError("capture-signals hold nothing but signals")
        return event

    def _refresh(
        self, funder: Funder, known: FunderRecord, now: int, stamp: int, config: RotationConfig
    ) -> list[Output]:
        """What is to be said of a funder, when anything changed."""
        rules, peers = config.capture, self._guide.peers
        judged = known.judged
        rates = pass_rates(known, funder, config.pass_rate_window_days, now)
        told = {each.id: peers[each.id] for each in config.funders if each.id in peers}
        compared, heard = others(told, funder.id, rules), self._guide.newest.get(funder.id)
        allowed = pause_allowed(funder.id, config, self._standings())
        found = review(known, compared, funder, rules, heard, now, may_pause=allowed)
        outputs: list[Output] = []
        if known.judged != judged:
            outputs.append(self._say("funder-peers", funder.id, encode_peer(peer(known, rules, now)), stamp))
        risk = known.risk if config.rotation.capture_risk is not None else {}
        pacing = config.selection.pacing
        room = price(known, funder, pacing, now) if pacing is not None else 0.0
        # Which detectors are silent is told along with other news: it moves with every event, and no decision.
        was = known.state.silent if known.state is not None else []
        state = msgspec.structs.replace(found.state, pass_rates=rates, capture_risk=risk, price=room, silent=was)
        trace = tuple(known.trace)
        known.trace = []
        if rates == known.published and state == known.state and not found.alerts:
            return outputs
        state = msgspec.structs.replace(state, silent=silent(known, compared, funder, rules))
        for alert in found.alerts:
            metrics.CAPTURE_ALERTS.labels(alert.funder_id, alert.detector, alert.level).inc()
        version = max(found.state.version, known.state.version if known.state is not None else 0) + 1
        known.published, known.published_at, known.state = rates, now, msgspec.structs.replace(state, version=version)
        outputs.append(self._say("funder-states", funder.id, encode(known.state), stamp, trace))
        outputs += [self._say("capture-alerts", funder.id, encode(alert), stamp, trace) for alert in found.alerts]
        self._said[funder.id] = known.state
        return outputs

    def _say(self, topic: str, funder_id: str, value: bytes, stamp: int, trace: Trace = ()) -> Output:
        return Output(topic_name(self._settings, topic), funder_id.encode(), value, stamp, trace)

    def _unheard(self, funder_id: str, known: FunderRecord) -> bool:
        """Whether a person has put the funder somewhere, which is not to wait: it may stand behind a word of ours."""
        newest = self._guide.newest.get(funder_id)
        return newest is not None and known.state is not None and newest.version > known.state.version

    def _standings(self) -> dict[str, FunderState]:
        """Where each funder stands: what this worker has said last, until the guide has read that back, or newer.

        What another worker said is known once it is read back. So in one such moment workers may pause too many.
        """
        known = self._guide.newest
        ahead = {
            funder_id: said
            for funder_id, said in self._said.items()
            if funder_id not in known or said.version > known[funder_id].version
        }
        return {**known, **ahead}
