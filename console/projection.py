"""The projection: reads what the workers read and say, in a consumer group of its own, and posts it on the board.

It is off the hot path: no worker waits for it, and when it falls behind only the pages do. How far it stands is kept
with what it posted, so that after a crash nothing is counted twice, and a Redis that lost its memory is told again.
"""

import asyncio
import logging
from collections.abc import Container, Iterable
from datetime import datetime

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError

from config.settings import Settings
from console.board import Board, Moved, Posting, Told
from rotation.events import millis
from rotation.outputs import CaptureAlert, CreditApplication, Decision, FunderState
from streams.batches import Record
from streams.codec import UNREADABLE, BadInput, decode
from streams.ending import is_ending
from streams.reading import stop_consumer
from streams.topics import BORROWER_INPUTS, app_id, topic_name

log = logging.getLogger("loanrouter.projection")

OUTPUTS: dict[str, type[Decision | CreditApplication | FunderState | CaptureAlert]] = {
    "routing-decisions": Decision,
    "credit-applications": CreditApplication,
    "funder-states": FunderState,
    "capture-alerts": CaptureAlert,
}
TOPICS = (*BORROWER_INPUTS, *OUTPUTS)

_AT_ONCE = 100  # a batch is one moment of Redis, in which no worker reserves
_RETRY_SECONDS = 1.0
_decoders = {topic: msgspec.json.Decoder(kind) for topic, kind in OUTPUTS.items()}


class _Anybody(Container[str]):
    """Every funder: whether one is configured is for the workers to judge."""

    def __contains__(self, funder_id: object) -> bool:
        return True


class _FromTheBoard(ConsumerRebalanceListener):  # type: ignore[misc]
    """Goes on from where the board stands (`stood`); where it knows nothing, from the beginning."""

    def __init__(self, consumer: AIOKafkaConsumer, board: Board) -> None:
        self._consumer = consumer
        self._board = board
        self.stood: dict[str, int] = {}

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        pass

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.stood = await self._board.offsets()
        for tp in assigned:
            if (offset := self.stood.get(_name(tp))) is not None:
                self._consumer.seek(tp, offset)


async def project(settings: Settings, board: Board) -> None:
    """Keep the board up to date until cancelled; waits while Kafka or Redis is away."""
    while not is_ending():
        try:
            await _project(settings, board)
        except Moved:
            log.info("the board stands elsewhere than expected: the projection begins anew from there")
        except (KafkaError, RedisError, OSError) as error:
            log.warning("the projection waits: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)


async def _project(settings: Settings, board: Board) -> None:
    session = settings.session_timeout_seconds * 1000
    consumer = AIOKafkaConsumer(
        **settings.kafka_consumer_args(),
        group_id=f"{app_id(settings)}-console",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=session,
        heartbeat_interval_ms=min(3000, session // 4),
        rebalance_timeout_ms=max(session, 10_000),
    )
    try:
        await consumer.start()
        listener = _FromTheBoard(consumer, board)
        consumer.subscribe([topic_name(settings, topic) for topic in TOPICS], listener=listener)
        while not is_ending():
            fetched = await consumer.getmany(timeout_ms=1000, max_records=_AT_ONCE)
            if fetched:
                made = posting(settings, fetched)
                await board.post(made, listener.stood)
                listener.stood.update(made.offsets)
    finally:
        await stop_consumer(consumer)


def posting(settings: Settings, fetched: dict[TopicPartition, list[Record]]) -> Posting:
    """What these records add to the board."""
    made = Posting()
    for tp, records in fetched.items():
        topic = tp.topic.removeprefix(settings.topic_prefix)
        made.offsets[_name(tp)] = records[-1].offset + 1
        for record in records:
            if topic in OUTPUTS:
                _take_output(made, topic, record)
            else:
                _take_input(made, topic, record)
    return made


def _take_output(made: Posting, topic: str, record: Record) -> None:
    try:
        text = (record.value or b"").decode()
        said = _decoders[topic].decode(text)
    except UNREADABLE:
        return  # no worker wrote it, and none takes it
    match said:
        case Decision():
            at = millis(datetime.fromisoformat(said.decided_at))
            made.decisions.append((said, at))
            made.events.append(Told(said.customer_id, topic, at, text))
        case CreditApplication():
            at = millis(datetime.fromisoformat(said.occurred_at))
            made.events.append(Told(said.customer_id, topic, at, text))
        case FunderState():
            made.states.append(said)
        case CaptureAlert():
            made.alerts.append(said)


def _take_input(made: Posting, topic: str, record: Record) -> None:
    event = decode(topic, record.key, record.value, record.timestamp, known_funders=_Anybody(), latest=None)
    if not isinstance(event, BadInput):
        # Without the fields that nobody knows, which a publisher may make as long as it likes.
        says = msgspec.json.encode(event).decode()
        made.events.append(Told((record.key or b"").decode(), topic, record.timestamp, says))


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}/{tp.partition}"
