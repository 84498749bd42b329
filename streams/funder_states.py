"""Where the funders stand, as people ask for it and change it."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from config.rotation import RotationConfig
from config.settings import Settings
from rotation.outputs import FunderState, encode
from streams.codec import UNREADABLE, read_state
from streams.config_log import KafkaLog, read_log
from streams.reading import read_topics
from streams.topics import topic_name

_TOPIC = "funder-states"


class Standings(NamedTuple):
    """The active configuration, None before the first one, and the last record of each funder that has one.

    `versions` are the highest of each funder, which need not be the last one's. `now` is the time in ms: with the
    stream clock that of the newest record here.
    """

    config: RotationConfig | None
    states: dict[str, FunderState]
    versions: dict[str, int]
    now: int


async def read_standings(settings: Settings) -> Standings:
    """What the topics tell up to their present ends; raises `aiokafka.errors.KafkaError`."""
    active = (await read_log(KafkaLog(settings))).state.active
    states: dict[str, FunderState] = {}
    versions: dict[str, int] = {}
    told: list[int] = []
    async for record in read_topics(settings, [_TOPIC]):
        with suppress(*UNREADABLE):  # the workers refused it, and kept what stood before it
            state = read_state(record.value)
            states[state.funder_id] = state
            versions[state.funder_id] = max(state.version, versions.get(state.funder_id, 0))
            told.append(record.timestamp)
    wall = int(time.time() * 1000)
    now = max(told, default=wall) if settings.clock == "stream" else wall
    return Standings(None if active is None else active.config, states, versions, now)


async def put_standing(settings: Settings, make: Callable[[Standings], FunderState]) -> FunderState:
    """Write the record that `make` makes of what stands; gives it. Raises `KafkaError`, and whatever `make` raises."""
    standings = await read_standings(settings)
    state = make(standings)
    async with AIOKafkaProducer(**settings.kafka_client_args(), acks="all") as producer:
        await producer.send_and_wait(
            topic_name(settings, _TOPIC),
            encode(state),
            state.funder_id.encode(),
            partition=0,
            timestamp_ms=standings.now,
        )
    return state
