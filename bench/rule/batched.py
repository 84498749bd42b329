"""The rule on our stream: a Faust application whose consumer hands whole fetched batches to its agent."""

import faust

from bench.rule.rule import Names, decide
from streams.app import LoanrouterApp, create_app
from streams.batches import Batch, Output, PartitionBatch, PartitionResult
from streams.worker import run_worker, running

NAMES = Names()


def rule(part: PartitionBatch) -> PartitionResult:
    """Decide one partition's requests."""
    changes: dict[bytes, bytes | None] = {}
    outputs = []
    for record in part.records:
        key = record.key or b""
        state = changes.get(key) or part.state.get(key, b"")
        changes[key], decision = decide(state, record.value or b"")
        outputs.append(Output(NAMES.decisions, key, decision, record.timestamp, (), part.partition))
    return PartitionResult(changes, part.memo, outputs)


def application() -> LoanrouterApp:
    """The application with its one agent."""
    app = create_app(NAMES.settings)

    @app.batch_agent("route", topics=["drawdown-requests"], table="borrowers")
    async def route(batches: faust.Stream[Batch]) -> None:
        async for batch in batches:
            async with batch:
                await batch.commit({part.partition: rule(part) for part in batch.partitions})

    return app


if __name__ == "__main__":
    run_worker(running(application()))
