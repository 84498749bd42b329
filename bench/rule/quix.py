"""The rule on Quix Streams 3 as it comes: a stateful apply, its RocksDB store and changelog."""

from typing import Any

from quixstreams import Application

from bench.rule.rule import Names, decide

NAMES = Names()


def rule(value: bytes, state: Any) -> bytes:
    """Decide one request. Quix keeps state as JSON, so the numbers are a list there."""
    known, decision = decide(bytes(state.get("funders", [])), value)
    state.set("funders", list(known))
    return decision


def main() -> None:
    """Run until SIGTERM."""
    app = Application(
        broker_address=NAMES.kafka,
        consumer_group=NAMES.group,
        auto_offset_reset="earliest",
        state_dir=NAMES.settings.data / "state",
        loglevel="WARNING",
    )
    requests = app.topic(NAMES.requests, key_deserializer="bytes", value_deserializer="bytes")
    decisions = app.topic(NAMES.decisions, key_serializer="bytes", value_serializer="bytes")
    frame: Any = app.dataframe(requests)
    frame = frame.apply(rule, stateful=True)
    frame.to_topic(decisions)
    app.run()


if __name__ == "__main__":
    main()
