"""The full job on the stream library as its documentation shows it: one event at a time through an agent.

The same decisions by the same core, the same reservations in the same Redis, a table with a changelog. What is not
here: batches, the writes confirmed before the next step, recovery of what was half written, dead letters, ticks.

python -m bench.plain_faust worker -l info     (BENCH_TUNED=1: linger, uvloop)
"""

import os
from collections.abc import Sequence

from faust.types import StreamT

from bench.faust_apps import RAW, stock_app
from config.load import load_file
from config.revisions import first_revision
from config.settings import Settings
from rotation.events import CaptureSignal
from rotation.outputs import encode
from rotation.policy import Policy
from rotation.reservations import Operation, Reserved
from rotation.state import decode_borrower, encode_borrower
from rotation.turn import Turn
from streams.codec import BadInput, decode
from streams.reservations import RedisBook
from streams.topics import BORROWER_INPUTS, topic_name

SETTINGS = Settings.from_env(os.environ)
_NAMES = {topic_name(SETTINGS, name): name for name in BORROWER_INPUTS}

policy = Policy(first_revision(load_file(SETTINGS.config)), {}, -1)
app = stock_app(SETTINGS)
borrowers = app.Table("borrowers", key_type=bytes, value_type=bytes)
inputs = app.topic(*_NAMES, **RAW)
decisions = app.topic(topic_name(SETTINGS, "routing-decisions"), **RAW)
applications = app.topic(topic_name(SETTINGS, "credit-applications"), **RAW)
book = RedisBook.connect(SETTINGS.redis_client_args(), SETTINGS.topic_prefix, SETTINGS.partitions)


@app.agent(inputs)
async def route(records: StreamT[bytes]) -> None:
    """Decide one record after the other."""
    for partition in range(SETTINGS.partitions):
        await book.restore(partition, (), policy.limits)
    clocks = [0] * SETTINGS.partitions
    async for record in records.events():
        message = record.message
        event = decode(
            _NAMES[message.topic],
            message.key,
            message.value,
            int(message.timestamp * 1000),
            known_funders=policy.limits,
            latest=None,
        )
        if isinstance(event, BadInput | CaptureSignal):
            raise TypeError(f"the load holds good input only: {event}")
        now = clocks[message.partition] = max(clocks[message.partition], round(message.timestamp * 1000))
        turn = Turn(event.customer_id, decode_borrower(borrowers.get(message.key)), policy)
        steps = turn.handle(event, now, [])
        try:
            asked = next(steps)
            while True:
                asked = steps.send(await _ask(turn, asked))
        except StopIteration:
            pass
        borrowers[message.key] = encode_borrower(turn.borrower)
        for said in turn.decisions:
            await decisions.send(key=message.key, value=said.value)
        for application in turn.applications:
            await applications.send(key=message.key, value=encode(application))


async def _ask(turn: Turn, asked: Operation) -> Reserved:
    answers: Sequence[Reserved | None] = await book.apply([*turn.take_operations(), asked], policy.limits)
    answer = answers[-1]
    assert answer is not None
    return answer


if __name__ == "__main__":
    app.main()
