"""The rule in a plain loop over aiokafka: `getmany`, then one record batch per partition and topic.

State in a dictionary, one changelog record per changed borrower and batch. No recovery, no rebalance, no retries.
"""

import asyncio
import signal
from collections.abc import Iterable

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from bench.rule.rule import Names, decide

NAMES = Names()
Entry = tuple[bytes, bytes]


async def run(stop: asyncio.Event) -> None:
    """Decide until `stop` is set."""
    consumer = AIOKafkaConsumer(
        NAMES.requests,
        bootstrap_servers=NAMES.kafka,
        group_id=NAMES.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=NAMES.kafka, acks="all", enable_idempotence=True, max_batch_size=900_000
    )
    borrowers: dict[bytes, bytes] = {}
    async with consumer, producer:
        while not stop.is_set():
            fetched = await consumer.getmany(timeout_ms=200)
            sending = []
            for tp, records in fetched.items():
                changes: dict[bytes, bytes] = {}
                decisions: list[Entry] = []
                for record in records:
                    state, decision = decide(borrowers.get(record.key, b""), record.value)
                    borrowers[record.key] = changes[record.key] = state
                    decisions.append((record.key, decision))
                sending.append(send(producer, NAMES.changelog, tp.partition, changes.items()))
                sending.append(send(producer, NAMES.decisions, tp.partition, decisions))
            if sending:
                await asyncio.gather(*sending)
                await consumer.commit()


async def send(producer: AIOKafkaProducer, topic: str, partition: int, entries: Iterable[Entry]) -> None:
    """Send keys and values in as few record batches as fit, and wait until all are confirmed."""
    sent = []
    builder = producer.create_batch()
    for key, value in entries:
        if builder.append(key=key, value=value, timestamp=None) is None:
            sent.append(await producer.send_batch(builder, topic, partition=partition))
            builder = producer.create_batch()
            builder.append(key=key, value=value, timestamp=None)
    sent.append(await producer.send_batch(builder, topic, partition=partition))
    await asyncio.gather(*sent)


async def main() -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run(stop)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
