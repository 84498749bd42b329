"""Taking whole fetched batches out of aiokafka's fetcher.

Does what `Fetcher.fetched_records` (aiokafka 0.14.0) does for a consumer that reads what is committed, with one
difference: a batch's records come from the C decoder in one go. The library leads each record through two generators
into a large dataclass, which takes three times as long.
"""

import asyncio
from collections.abc import Set
from contextlib import suppress
from time import monotonic

from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import TopicPartition

from streams.batches import Record

RecordLists = dict[TopicPartition, list[Record]]


async def fetched_records(fetcher: Fetcher, tps: Set[TopicPartition], seconds: float) -> RecordLists:
    """All records of `tps` that are here, or that are first to come; none when none came in `seconds`, or what came
    holds none.

    Raises `ConsumerStoppedError` when the consumer has stopped before, and whatever a fetch ran into.
    """
    if fetcher._closed:
        raise ConsumerStoppedError
    deadline = monotonic() + seconds
    while not fetcher._closed and monotonic() < deadline:
        if fetcher._subscriptions.reassignment_in_progress:
            await fetcher._subscriptions.wait_for_assignment()
        if (lists := _take(fetcher, tps)) is not None:
            return lists
        waiter = fetcher._create_fetch_waiter()
        with suppress(TimeoutError):
            await asyncio.wait_for(waiter, deadline - monotonic())
    return {}


def _take(fetcher: Fetcher, tps: Set[TopicPartition]) -> RecordLists | None:
    lists: RecordLists = {}
    came = False
    for tp in list(fetcher._records):
        if tp not in tps:
            if not fetcher._subscriptions.is_assigned(tp):
                del fetcher._records[tp]
            continue
        found = fetcher._records[tp]
        if isinstance(found, FetchError) and lists:
            continue  # it is raised when there is nothing else to return
        del fetcher._records[tp]
        came = True
        fetcher._notify(fetcher._wait_consume_future)
        if isinstance(found, FetchError):
            found.check_raise()
        elif found.check_assignment(tp) and (records := _decode(tp, found)):
            lists[tp] = records
    return lists if came else None


def _decode(tp: TopicPartition, result: FetchResult) -> list[Record]:
    topic, partition = tp
    fetched = result._partition_records
    fetched._records_iterator = None  # it refers back, and would keep all bytes until a search for cycles
    stored = fetched._records
    offset = fetched.next_fetch_offset
    records: list[Record] = []
    while stored.has_next():
        batch = stored.next_batch()
        if not batch.validate_crc():
            raise CorruptRecordException(f"invalid checksum in {topic}, partition {partition}")
        if not (_taken_back(fetched, batch) or batch.is_control_batch):
            records += [
                Record(
                    topic,
                    partition,
                    record.offset,
                    record.timestamp,
                    record.key,
                    record.value,
                    tuple(record.headers) if record.headers else (),
                )
                for record in batch
                if record.offset >= offset  # a fetch begins with the batch that holds its offset
            ]
        offset = batch.next_offset
    fetched.next_fetch_offset = offset
    result._update_position()
    return records


def _taken_back(fetched: PartitionRecords, batch: DefaultRecordBatch) -> bool:
    """Whether the batch is of a transaction that was aborted; as `PartitionRecords` finds out."""
    if batch.producer_id is None:
        return False
    fetched._consume_aborted_up_to(batch.base_offset)
    if batch.is_control_batch and fetched._contains_abort_marker(batch):
        fetched._aborted_producers.discard(batch.producer_id)
    return batch.is_transactional and batch.producer_id in fetched._aborted_producers
