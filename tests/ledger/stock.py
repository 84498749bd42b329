"""The control: the same core, reservations and topics on the stream library as it comes, none of our overrides.

python -m tests.ledger.stock     (settings from the environment, as for a worker)
"""

import os
from typing import Any, cast

import faust
from faust.types import EventT, StreamT

from config.load import load_file
from config.revisions import first_revision
from config.settings import Settings
from rotation.events import CaptureSignal
from rotation.policy import Policy
from rotation.reservations import Reserve, Reserved
from rotation.state import decode_borrower, encode_borrower
from rotation.turn import Turn
from streams.batches import Output, Record
from streams.codec import BadInput, decode
from streams.deadletters import dead_letter
from streams.reservations import RedisBook
from streams.topics import BORROWER_INPUTS, app_id, topic_name


def main() -> None:
    """Run a worker."""
    settings = Settings.from_env(os.environ)
    policy = Policy(first_revision(load_file(settings.config)), {}, -1)
    book = RedisBook.connect(settings.redis_client_args(), settings.topic_prefix, settings.partitions)
    names = {topic_name(settings, name): name for name in BORROWER_INPUTS}
    clocks = [0] * settings.partitions
    app = faust.App(
        app_id(settings),
        broker=f"aiokafka://{settings.kafka}",
        datadir=str(settings.data),
        web_host=settings.web_host,
        web_bind=settings.web_host,
        web_port=settings.web_port,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        topic_partitions=settings.partitions,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_linger=0.01,
        topic_disable_leader=True,
    )
    borrowers = app.Table("borrowers", key_type=str, value_type=bytes)
    outputs = {
        name: app.topic(topic_name(settings, name), key_type=bytes, value_type=bytes)
        for name in ("routing-decisions", "dead-letters")
    }

    async def say(output: Output) -> None:
        channel = outputs[output.topic.removeprefix(settings.topic_prefix)]
        await channel.send(
            key=output.key, value=output.value, partition=output.partition, headers=cast(Any, list(output.headers))
        )

    async def ask(turn: Turn, *asked: Reserve) -> Reserved | None:
        operations = [*turn.take_operations(), *asked]
        return (await book.apply(operations, policy.limits))[-1] if operations else None

    async def route(event: EventT[bytes]) -> None:
        message = event.message
        at = round(message.timestamp * 1000)
        headers = tuple(cast(Any, message.headers))
        record = Record(message.topic, message.partition, message.offset, at, message.key, message.value, headers)
        happened = decode(names[record.topic], record.key, record.value, at, known_funders=policy.limits, latest=None)
        if isinstance(happened, BadInput | CaptureSignal):
            assert isinstance(happened, BadInput)
            return await say(dead_letter(settings, record, happened.reason, happened.detail))
        now = clocks[record.partition] = max(clocks[record.partition], at)
        turn = Turn(happened.customer_id, decode_borrower(borrowers.get(happened.customer_id)), policy)
        steps = turn.handle(happened, now, [])
        try:
            asked = next(steps)
            while True:
                answer = await ask(turn, asked)
                assert answer is not None
                asked = steps.send(answer)
        except StopIteration as end:
            await ask(turn)
            refusal = end.value
        borrowers[happened.customer_id] = encode_borrower(turn.borrower)
        for said in turn.decisions:
            await say(Output(topic_name(settings, "routing-decisions"), record.key, said.value, said.now))
        if refusal is not None:
            await say(dead_letter(settings, record, refusal.reason, refusal.detail))
        return None

    @app.agent(app.topic(*names, key_type=bytes, value_type=bytes))
    async def router(records: StreamT[bytes]) -> None:
        for partition in range(settings.partitions):
            await book.restore(partition, (), policy.limits)
        async for event in records.events():
            await route(event)

    @app.page("/readyz")
    async def readyz(view: faust.web.View, request: faust.web.Request) -> faust.web.Response:
        ready = app.tables.actives_ready and not app.rebalancing
        return view.json({"ready": ready}, status=200 if ready else 503)

    app.finalize()
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main()
