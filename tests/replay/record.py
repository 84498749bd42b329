"""Records the golden logs anew: `python -m tests.replay.record`, or with the names of those to record.

Replay must give the same bytes from the same log for as long as logs are kept. So a log is recorded again only when
what it holds has changed on purpose (a field of a decision, the form of a position): read the difference before it is
committed, and keep the old log beside the new one if such logs are out there already.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from config.load import load_file
from config.revisions import first_revision
from config.settings import Settings
from market.drive import Drive
from market.journal import Journal
from market.market import Market
from rotation.outputs import Candidate, Decision, encode
from streams.embedded import EmbeddedKafka, EmbeddedRedis
from streams.log import LogRecord
from tests.conftest import Broker
from tests.replay.logs import GOLDEN
from tests.replay.recording import Story, recorded, save
from tests.replay.stories import in_order, out_of_order
from tests.rotation.world import SHIPPED
from tests.worker.service import Service

MARKET = Path(__file__).parents[2] / "market" / "rotation.yaml"
MARKET_SECONDS = 20.0

Tell = Callable[[Service], None]


def on_the_stream_clock(tell: Callable[[Story], None]) -> Tell:
    """Tell a story step by step."""
    return lambda service: tell(Story(service))


def market(service: Service) -> None:
    """Borrowers, funders and bad records on the wall clock, as in `loanrouter demo`."""
    config = first_revision(load_file(MARKET)).config
    played = partial(_market, config)

    async def drive() -> None:
        until = asyncio.Event()
        asyncio.get_running_loop().call_later(MARKET_SECONDS, until.set)
        await Drive(service.settings, Journal(), hold_out=True).run(played, until)

    asyncio.run(drive())


def _market(config: Any, start: int) -> Market:
    return Market(config, seed=7, rate=2, start=start)


#: What is recorded, and the settings of the worker that it is told to.
STORIES: dict[str, tuple[Tell, dict[str, Any]]] = {
    "in-order": (on_the_stream_clock(in_order), {"config": SHIPPED, "clock": "stream"}),
    "out-of-order": (on_the_stream_clock(out_of_order), {"config": SHIPPED, "clock": "stream"}),
    "market": (market, {"config": MARKET}),
}


def play(name: str, broker: Broker, redis_url: str, data: Path, **more: Any) -> tuple[Settings, list[LogRecord]]:
    """Tell a story to one worker with two partitions; its settings, and what then stands in its topics."""
    tell, settings_of = STORIES[name]
    settings = broker.settings(redis_url, data, partitions=2, **settings_of, **more)
    with Service(settings) as service:
        service.create_topics()
        service.workers.start("only")
        service.workers.wait_ready("only")
        tell(service)
        service.workers.stop()
    return settings, recorded(settings)


def main(*names: str) -> None:
    """Record golden logs, each on a broker of its own."""
    for name in names or STORIES:
        with ExitStack() as stack:
            kafka, redis = stack.enter_context(EmbeddedKafka()), stack.enter_context(EmbeddedRedis())
            data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            broker = Broker(kafka.bootstrap, idempotence=False)
            _, records = play(name, broker, redis.url, data, topic_prefix="")
        save(records, GOLDEN / f"{name}.jsonl")
        if name == "in-order":
            save(map(_tampered, (record for record in records if _is_about_ann(record))), GOLDEN / "tampered.jsonl")


def _is_about_ann(record: LogRecord) -> bool:
    return record.key == b"ann" or record.topic in ("rotation-config", "funder-states")


def _tampered(record: LogRecord) -> LogRecord:
    """The first record of dd-ann-2's decision with a chance that is a thousandth better than it was."""
    value = record.value or b""
    if not value.startswith(b'{"decision_id":"dd-ann-2:1"'):
        return record
    decision = msgspec.json.decode(value, type=Decision)
    decision.candidates[0] = Candidate(decision.candidates[0].funder_id, decision.candidates[0].propensity + 0.001)
    return msgspec.structs.replace(record, value=encode(decision))


if __name__ == "__main__":
    main(*sys.argv[1:])
