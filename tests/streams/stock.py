"""The toy on the stock library, for the control run: the same count, agent, table and topics, none of our overrides.

python -m tests.streams.stock KAFKA PREFIX WEB_PORT DATA [...]
"""

import sys

import faust
from faust.types import StreamT

from tests.streams.toy import OUTPUT, SOURCES


def main() -> None:
    """Run a worker."""
    kafka, prefix, port, data = sys.argv[1:5]
    app = faust.App(
        f"{prefix}loanrouter",
        broker=f"aiokafka://{kafka}",
        datadir=data,
        web_port=int(port),
        web_bind="127.0.0.1",
        broker_session_timeout=6,
        broker_heartbeat_interval=1.5,
        topic_partitions=4,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_linger=0.01,
        topic_disable_leader=True,
    )
    table = app.Table("counts", key_type=bytes, value_type=bytes)
    output = app.topic(prefix + OUTPUT, key_type=bytes, value_type=bytes)

    @app.agent(app.topic(*(prefix + name for name in SOURCES), key_type=bytes, value_type=bytes))
    async def counter(records: StreamT[bytes]) -> None:
        async for event in records.events():
            count = b"%d" % (int(table.get(event.key) or b"0") + 1)
            table[event.key] = count
            source = [("topic", event.message.topic.encode()), ("offset", b"%d" % event.message.offset)]
            await output.send(key=event.key, value=count, headers=source)

    @app.page("/readyz")
    async def readyz(view: faust.web.View, request: faust.web.Request) -> faust.web.Response:
        return view.json({"ready": app.tables.actives_ready and not app.rebalancing})

    app.finalize()
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main()
