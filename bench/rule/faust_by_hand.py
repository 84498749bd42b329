"""The rule on Faust with what can be done by hand: `take_events`, and record batches sent past the library.

A table cannot be written inside `take_events`, so state is a dictionary and the changelog is written here; nothing
reads it back. A failed batch would be acknowledged.
"""

from collections import defaultdict
from typing import cast

import faust
from aiokafka import AIOKafkaProducer
from faust.types import StreamT

from bench.faust_apps import RAW, stock_app
from bench.rule.aiokafka_loop import Entry, send
from bench.rule.rule import Names, decide

AT_ONCE = 1000
WITHIN = 0.05
NAMES = Names()
app = stock_app(NAMES.settings)
borrowers: dict[bytes, bytes] = {}


@app.agent(app.topic(NAMES.requests, **RAW))
async def route(requests: StreamT[bytes]) -> None:
    """Decide up to a thousand requests, then write what came of them."""
    async with AIOKafkaProducer(
        bootstrap_servers=NAMES.kafka, acks="all", enable_idempotence=True, max_batch_size=900_000
    ) as producer:
        async for events in cast(faust.Stream[bytes], requests).take_events(AT_ONCE, within=WITHIN):
            changes: dict[int, dict[bytes, bytes]] = defaultdict(dict)
            decisions: dict[int, list[Entry]] = defaultdict(list)
            for event in events:
                key, partition = cast(bytes, event.key), event.message.partition
                state, decision = decide(borrowers.get(key, b""), event.value)
                borrowers[key] = changes[partition][key] = state
                decisions[partition].append((key, decision))
            for partition, made in decisions.items():
                await send(producer, NAMES.changelog, partition, changes[partition].items())
                await send(producer, NAMES.decisions, partition, made)


if __name__ == "__main__":
    app.main()
