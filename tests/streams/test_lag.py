"""Lag: its records lie between what is done and the end; its seconds are no less than the oldest has waited."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.app import LoanrouterApp
from streams.lag import MOST_ENDS, Behind, Fetched, Lag
from streams.worker import running
from tests.brokers import ApacheKafka
from tests.conftest import Broker
from tests.streams.cluster import Cluster, until
from tests.streams.toy import SOURCES, counting_app


def seen(*ends: tuple[float, int]) -> Behind:
    """A partition whose end was looked at, at these times and offsets."""
    behind = Behind()
    for now, end in ends:
        behind.saw_end(end, now)
    return behind


def test_nothing_is_said_before_an_end_was_seen() -> None:
    """A partition just assigned has no lag yet, instead of a lag of 0."""
    assert Behind().lag(7, None, 100.0) is None


def test_no_lag_at_the_end() -> None:
    """What is done up to the end, or beyond an end seen earlier, waits for nothing."""
    assert seen((100.0, 7)).lag(7, None, 500.0) == Lag(0, 0.0)
    assert seen((100.0, 7)).lag(9, None, 500.0) == Lag(0, 0.0)


def test_what_lies_beyond_an_end_seen_earlier_came_later() -> None:
    """The wait is counted from the last look at which all was done that there was."""
    behind = seen((100.0, 7), (105.0, 9), (110.0, 20))
    assert behind.lag(9, None, 112.0) == Lag(11, 7.0)
    assert behind.lag(15, None, 112.0) == Lag(5, 7.0)


def test_a_batch_in_work_is_as_old_as_its_first_record() -> None:
    """Redis is away: the records of the batch wait, however new those behind them are."""
    behind = seen((100.0, 7), (900.0, 30))
    assert behind.lag(7, Fetched(12, 850_000, 851_000), 1000.0) == Lag(23, 150.0)


def test_a_backlog_is_as_old_as_the_last_record_done() -> None:
    """A partition taken over with hours of records behind it: no end was seen before them."""
    behind = seen((10_000.0, 500))
    assert behind.lag(100, Fetched(100, 1_000_000, 3_000_000), 10_001.0) == Lag(400, 7001.0)


@pytest.mark.parametrize("looks", [1, MOST_ENDS + 10])
def test_a_stuck_partition_waits_longer_and_longer(looks: int) -> None:
    """However often its end was looked at since."""
    behind = seen((0.0, 1), *((5.0 + look, 10) for look in range(looks)))
    assert behind.lag(1, Fetched(5, 3_000, 4_000), 6000.0) == Lag(9, 5997.0)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5), st.integers(0, 6)), min_size=1, max_size=40))
def test_the_oldest_has_never_waited_longer(steps: list[tuple[int, int, int]]) -> None:
    """On either clock the seconds are at least the true wait of the oldest record that is not done.

    A step is: seconds go by, records arrive, some of those there are done, then the end is looked at.
    """
    behind, arrived, done, now = seen((0.0, 0)), list[int](), 0, 0
    for seconds, new, worked in steps:
        now += seconds
        done = min(done + worked, len(arrived))
        fetched = Fetched(done, arrived[done - 1] * 1000, arrived[done - 1] * 1000) if done else None
        arrived += [now] * new
        behind.saw_end(len(arrived), now)
        for known in (None, fetched):
            lag = behind.lag(done, known, now)
            assert lag is not None
            assert lag.records == len(arrived) - done
            assert lag.seconds >= (now - arrived[done] if done < len(arrived) else 0)


async def until_no_lag(app: LoanrouterApp, topic: str, done: int) -> None:
    """Wait until the first partition of a topic is done up to this offset, and has no lag at its present end."""
    tp = TP(topic, 0)
    await until(lambda: app.consumer.done().get(tp) == done)
    await app.consumer.look_ahead()
    assert app.consumer.lags()[tp] == Lag(0, 0.0)


@pytest.mark.apache
def test_the_end_of_a_transaction_is_no_lag(apache_kafka: ApacheKafka, redis_url: str, tmp_path: Path) -> None:
    """Kafka marks it with an offset behind the last record that nobody can read; so it does when it is taken back."""
    cluster = Cluster(Broker(apache_kafka.bootstrap, idempotence=True).settings(redis_url, tmp_path))
    topic = cluster.topic(SOURCES[0])

    async def run() -> None:
        await cluster.create_topics()
        async with (
            running(counting_app(cluster.settings)) as app,
            AIOKafkaProducer(bootstrap_servers=cluster.kafka, transactional_id=cluster.topic("t")) as producer,
        ):
            for done, kept in ((3, True), (6, False)):
                await producer.begin_transaction()
                for _ in range(2):
                    await producer.send_and_wait(topic, b"value", b"k", partition=0)
                await (producer.commit_transaction() if kept else producer.abort_transaction())
                await until_no_lag(app, topic, done)

    asyncio.run(run())


@pytest.mark.apache
def test_what_was_deleted_unread_is_no_lag(apache_kafka: ApacheKafka, redis_url: str, tmp_path: Path) -> None:
    """A partition whose records ran out of their retention before they were read has its end and its start in one."""
    cluster = Cluster(Broker(apache_kafka.bootstrap, idempotence=True).settings(redis_url, tmp_path))
    topic = cluster.topic(SOURCES[0])

    async def run() -> None:
        await cluster.create_topics()
        async with cluster.producer() as producer:
            for _ in range(5):
                await producer.send_and_wait(topic, b"value", b"k", partition=0)
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.kafka)
        await admin.start()
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=5)})
        await admin.close()
        async with running(counting_app(cluster.settings)) as app:
            await until_no_lag(app, topic, 5)

    asyncio.run(run())
