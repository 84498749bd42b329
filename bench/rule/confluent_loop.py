"""The rule in a plain loop over confluent-kafka (librdkafka): consume many, produce each, flush, commit.

State in a dictionary, one changelog record per changed borrower and batch. No recovery, no rebalance, no retries.
"""

import signal

from confluent_kafka import Consumer, Producer

from bench.rule.rule import Names, decide

NAMES = Names()
AT_ONCE = 10_000


def main() -> None:
    """Run until SIGTERM."""
    running = True

    def stop(number: int, frame: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    consumer = Consumer(
        {
            "bootstrap.servers": NAMES.kafka,
            "group.id": NAMES.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": NAMES.kafka,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    consumer.subscribe([NAMES.requests])
    borrowers: dict[bytes, bytes] = {}
    while running:
        changes: dict[bytes, tuple[bytes, int]] = {}
        records = consumer.consume(AT_ONCE, 0.2)
        for record in records:
            key, partition = record.key(), record.partition()
            state, decision = decide(borrowers.get(key, b""), record.value())
            borrowers[key] = state
            changes[key] = (state, partition)
            producer.produce(NAMES.decisions, decision, key, partition)
        for key, (state, partition) in changes.items():
            producer.produce(NAMES.changelog, state, key, partition)
        if records:
            producer.flush()
            consumer.commit(asynchronous=True)
    consumer.close()


if __name__ == "__main__":
    main()
