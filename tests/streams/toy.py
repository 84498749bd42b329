"""A toy worker: counts records by key and publishes each new count. Run as a process, or its app inside a test.

python -m tests.streams.toy KAFKA PREFIX WEB_PORT DATA [--idempotent 0|1]
"""

import sys
from pathlib import Path

import faust

from config.settings import Settings
from streams.app import LoanrouterApp, create_app
from streams.batches import Batch, Output, PartitionResult
from streams.worker import run_worker

SOURCES = ["numbers", "letters"]
OUTPUT = "counts"


def count(batch: Batch, prefix: str) -> dict[int, PartitionResult]:
    """Add one for each record of a key; publish the new count."""
    results = {}
    for part in batch.partitions:
        changes: dict[bytes, bytes | None] = {}
        outputs = []
        for record in part.records:
            assert record.key is not None
            before = changes.get(record.key) or part.state.get(record.key) or b"0"
            after = changes[record.key] = b"%d" % (int(before) + 1)
            outputs.append(
                Output(prefix + OUTPUT, record.key, after, record.timestamp, (("offset", b"%d" % record.offset),))
            )
        results[part.partition] = PartitionResult(changes, part.memo, outputs)
    return results


def counting_app(settings: Settings, *, idempotent: bool = True) -> LoanrouterApp:
    """The toy application."""
    app = create_app(settings, idempotent=idempotent)

    @app.batch_agent("counter", topics=SOURCES, table="counts")
    async def counter(batches: faust.Stream[Batch]) -> None:
        async for batch in batches:
            async with batch:
                await batch.commit(count(batch, settings.topic_prefix))

    return app


if __name__ == "__main__":
    kafka, prefix, port, data = sys.argv[1:5]
    run_worker(
        counting_app(
            Settings(kafka=kafka, topic_prefix=prefix, web_port=int(port), data=Path(data), session_timeout_seconds=6),
            idempotent="--idempotent=0" not in sys.argv,
        )
    )
