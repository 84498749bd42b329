"""A toy worker: counts records by key and publishes each new count. Run as a process, or its app inside a test.

python -m tests.streams.toy KAFKA PREFIX WEB_PORT DATA [--idempotent=0] [--standbys=N] [--die-before-outputs=N]
    [--slow=SECONDS] [--pad=BYTES] [--largest-file=BYTES]
"""

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
from aiokafka import AIOKafkaProducer

from config.settings import Settings
from streams.app import LoanrouterApp, create_app
from streams.batches import Batch, Output, PartitionResult
from streams.producer import BatchProducer
from streams.topics import topic_name
from streams.worker import run_worker, running

SOURCES = ["numbers", "letters"]
OUTPUT = "counts"
Before = Callable[[Batch], Awaitable[None]]


def count(batch: Batch, output: str, pad: int) -> dict[int, PartitionResult]:
    """Add one for each record of a key; publish the new count with where the record stood.

    Counts in the table are padded with `pad` blanks.
    """
    results = {}
    for part in batch.partitions:
        changes: dict[bytes, bytes | None] = {}
        outputs = []
        for record in part.records:
            assert record.key is not None
            before = changes.get(record.key) or part.state.get(record.key) or b"0"
            after = b"%d" % (int(before) + 1)
            changes[record.key] = after + b" " * pad
            source = (("topic", record.topic.encode()), ("offset", b"%d" % record.offset))
            outputs.append(Output(output, record.key, after, record.timestamp, source))
        results[part.partition] = PartitionResult(changes, part.memo, outputs)
    return results


def counting_app(
    settings: Settings, *, before: Before | None = None, counting: bool = True, pad: int = 0
) -> LoanrouterApp:
    """The toy application; `before` is awaited with each batch before it is counted, if at all."""
    app = create_app(settings)

    @app.batch_agent("counter", topics=SOURCES, table="counts")
    async def counter(batches: faust.Stream[Batch]) -> None:
        async for batch in batches:
            async with batch:
                if before is not None:
                    await before(batch)
                if counting:
                    await batch.commit(count(batch, topic_name(settings, OUTPUT), pad))

    return app


def produce_with(app: LoanrouterApp, kind: type[AIOKafkaProducer]) -> None:
    """Have the app produce with another kind of aiokafka producer."""

    class Producer(BatchProducer):
        @property
        def _producer_type(self) -> type[AIOKafkaProducer]:
            return kind

    app.transport.Producer = Producer  # type: ignore[misc]


def dying(after: int) -> type[AIOKafkaProducer]:
    """A producer that kills its process when batch number `after` of outputs is to be sent."""

    class Dying(AIOKafkaProducer):  # type: ignore[misc]
        sent = 0

        async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any:
            if topic.endswith(OUTPUT):
                Dying.sent += 1
                if Dying.sent >= after:
                    os.kill(os.getpid(), signal.SIGKILL)
            return await super().send_batch(batch, topic, partition=partition)

    return Dying


def _main() -> None:
    kafka, prefix, port, data = sys.argv[1:5]
    options = dict(argument[2:].split("=", 1) for argument in sys.argv[5:])
    settings = Settings(
        kafka=kafka,
        kafka_idempotence=options.get("idempotent") != "0",
        topic_prefix=prefix,
        web_port=int(port),
        data=Path(data),
        cache_mb=16,
        standbys=int(options.get("standbys", 1)),
        session_timeout_seconds=6,
    )

    async def slowly(batch: Batch) -> None:
        await asyncio.sleep(float(options["slow"]))

    if "largest-file" in options:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(options["largest-file"]),) * 2)
    app = counting_app(settings, before=slowly if "slow" in options else None, pad=int(options.get("pad", 0)))
    if "die-before-outputs" in options:
        produce_with(app, dying(int(options["die-before-outputs"])))
    run_worker(running(app))


if __name__ == "__main__":
    _main()
