"""`./dev soak`: one worker at a steady rate for long, its memory and its delays over time.

Borrowers come, ask and stay away: at any time the same number of them is in between, so that what grows is no part of
the load. Of what they did the worker remembers all, as in life.

Requests and decisions are stamped by the broker when it appends them, as for the latency figures (`bench.latency`).
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from random import Random

import click
import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import RecordMetadata

from bench import job
from bench.borrowers import Borrower
from bench.compare import Progress
from bench.ground import PARTITIONS, Laid, Record, Servers, Topics, servers, topics
from bench.job import OURS, REQUESTS_PER_BORROWER, STREAM_CLOCK, WARM_UP_BORROWERS
from bench.latency import at
from bench.machine import this_machine
from bench.run import APPEND_TIME, DECISIONS, REQUESTS, Processes, Run
from bench.soaked import Slice, Soak, draw, markdown, table
from config.settings import Settings
from streams.topics import create_topics, topic_name

#: Borrowers between their first grant and their last request.
AT_A_TIME = 5_000
_SLICES = 60
_CATCH_UP_SECONDS = 60
_SEGMENT_BYTES = 16 * 1024 * 1024


@click.command()
@click.option("--rate", type=click.IntRange(1), default=2000, show_default=True, help="Events a second.")
@click.option("--minutes", type=click.FloatRange(0.1), default=60.0, show_default=True, help="For how long.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of a table.")
@click.option(
    "--results",
    "path",
    default="docs/soak.json",
    show_default=True,
    type=click.Path(path_type=Path),
    help="File that keeps the result; the table (.md) and the plot (.svg) are written beside it.",
)
@click.option("--report", is_flag=True, help="Play nothing, write table and plot again from the result that is kept.")
def main(rate: int, minutes: float, as_json: bool, path: Path, report: bool) -> None:
    """Keep one worker at work at a steady rate, and tell its memory and its delays over time.

    Exit code 1 when a request was not decided, or twice.
    """
    logging.basicConfig(level=logging.CRITICAL)  # clients of the harness; the worker has a log of its own
    if report:
        found = msgspec.json.decode(path.read_bytes(), type=Soak)
    else:
        with servers() as ground:
            found = asyncio.run(_play(ground, rate, minutes))
        path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    path.with_suffix(".md").write_text(markdown(found, path.with_suffix(".svg").name))
    draw(found.slices, path.with_suffix(".svg"))
    click.echo(msgspec.json.encode(found).decode() if as_json else "\n".join(table(found.slices)))
    if found.undecided or found.doubled:
        raise click.ClickException(f"{found.undecided} requests were not decided, {found.doubled} more than once")


class Watch:
    """When each request and its decision were appended, as far as the other one is not known yet."""

    def __init__(self) -> None:
        self.answers = bytearray()  # how many decisions each request got that are its last, and how many holds
        self.holds = bytearray()
        self.delays: list[int] = []
        self.decisions = 0
        self._asked: dict[int, int] = {}
        self._decided: dict[int, int] = {}

    def ask(self, sent: "asyncio.Future[RecordMetadata]") -> None:
        """A request leaves now; its number follows from the order of calls."""
        number = len(self.answers)
        self.answers.append(0)
        self.holds.append(0)
        sent.add_done_callback(lambda done: self._match(number, done.result().timestamp, self._asked, self._decided))

    def decided(self, number: int, at: int, *, held: bool) -> None:
        """A decision was read. Only the first one on a request is what its borrower has waited for."""
        self.decisions += 1
        if not self.answers[number] and not self.holds[number]:
            self._match(number, at, self._decided, self._asked)
        counted = self.holds if held else self.answers
        counted[number] += 1

    @property
    def undecided(self) -> int:
        """Requests without any decision."""
        return sum(not (held or answered) for held, answered in zip(self.holds, self.answers, strict=True))

    @property
    def doubled(self) -> int:
        """Requests that were held twice, or decided twice. To be decided after a hold, when a funder opens, is none."""
        return sum(held > 1 or answered > 1 for held, answered in zip(self.holds, self.answers, strict=True))

    def _match(self, number: int, at: int, known: dict[int, int], other: dict[int, int]) -> None:
        if (when := other.pop(number, None)) is None:
            known[number] = at
        else:
            self.delays.append(abs(at - when))

    def slice(self, ended: float, events: int, resident: int, cpu: float) -> Slice:
        """What was seen since the last one."""
        waited, decisions = sorted(self.delays) or [0], self.decisions
        self.delays, self.decisions = [], 0
        return Slice(ended, events, decisions, at(waited, 0.5), at(waited, 0.99), waited[-1], resident, cpu)


async def _play(ground: Servers, rate: int, minutes: float) -> Soak:
    machine, progress = this_machine(), Progress(f"soak, {rate}/s for {minutes:g} minutes")
    config = job.write_configuration(ground.folder)
    async with topics(ground.kafka) as clients, AsyncExitStack() as stack:
        run = Run(ground, clients, OURS, "soak", config, progress.say)
        first = [Borrower(number, _now()) for number in range(WARM_UP_BORROWERS)]
        known = Laid.out(grant for one in first for grant in one.grants())
        warm_up = Laid.out(one.request(0) for one in first)
        processes = await stack.enter_async_context(run.at_work(known, warm_up, _prepare))
        producer = await stack.enter_async_context(AIOKafkaProducer(bootstrap_servers=ground.kafka, acks="all"))
        watch = Watch()
        reading = asyncio.create_task(_read(run.settings, watch))
        try:
            slices = await _pace(producer, run.settings.topic_prefix, processes, watch, rate, minutes * 60, progress)
            await asyncio.wait((reading,), timeout=1)
            for _ in range(_CATCH_UP_SECONDS):
                if watch.undecided:
                    await asyncio.wait((reading,), timeout=1)
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
        undecided, doubled = watch.undecided, watch.doubled
        progress.end(f"{len(watch.answers):,} requests, {undecided} undecided, {doubled} doubled")
        return Soak(machine, rate, minutes, len(watch.answers), undecided, doubled, slices)


async def _pace(
    producer: AIOKafkaProducer,
    prefix: str,
    processes: Processes,
    watch: Watch,
    rate: int,
    seconds: float,
    progress: Progress,
) -> list[Slice]:
    slices: list[Slice] = []
    began, used = time.monotonic(), processes.usage().cpu
    sliced = 0
    for number, record in enumerate(_events()):
        passed = time.monotonic() - began
        if passed >= (len(slices) + 1) * seconds / _SLICES:
            usage = processes.usage()
            processes.check()
            slices.append(watch.slice(passed, number - sliced, usage.resident, usage.cpu - used))
            used, sliced = usage.cpu, number
            progress.say(f"{passed / 60:.1f} min, p99 {slices[-1].p99:,.0f} ms, {usage.resident / 1e6:,.0f} MB")
            if len(slices) == _SLICES:
                break
        if (ahead := number / rate - passed) > 0:
            await asyncio.sleep(ahead)
        sent = await producer.send(prefix + record.topic, record.value, record.key)
        if record.topic == REQUESTS:
            watch.ask(sent)
    await producer.flush()
    return slices


def _events() -> Iterator[Record]:
    """One event of somebody present at a time: their grants, then their requests; then somebody new is present."""
    chance, asked = Random(1), count()
    borrowers = (Borrower(number, _now()) for number in count(WARM_UP_BORROWERS))
    # Those of the beginning ask less often, so that they do not all go at the same time.
    present = [_steps(next(borrowers), chance.randint(0, REQUESTS_PER_BORROWER)) for _ in range(AT_A_TIME)]
    while True:
        at = chance.randrange(AT_A_TIME)
        step = next(present[at], None)
        if step is None:
            present[at] = _steps(next(borrowers), REQUESTS_PER_BORROWER)
        else:
            yield step if isinstance(step, Record) else _numbered(step.request(0, _now()), next(asked))


def _steps(borrower: Borrower, requests: int) -> Iterator[Record | Borrower]:
    yield from borrower.grants()
    for _ in range(requests):
        yield borrower


def _numbered(request: Record, number: int) -> Record:
    """The request as one of its own, with its number in the order in which they leave."""
    document = msgspec.json.decode(request.value)
    document |= {"drawdown_id": f"dd-soak-{number}", "event_id": f"asked-{number}"}
    return request._replace(value=msgspec.json.encode(document))


class _Decided(msgspec.Struct):
    drawdown_id: str
    status: str


async def _read(settings: Settings, watch: Watch) -> None:
    decode = msgspec.json.Decoder(_Decided).decode
    partitions = [TopicPartition(topic_name(settings, DECISIONS), number) for number in range(PARTITIONS)]
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka, fetch_max_wait_ms=50) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    decision = decode(record.value)
                    mark, _, number = decision.drawdown_id.rpartition("-")
                    if mark == "dd-soak":  # the others are of the warm-up
                        watch.decided(int(number), record.timestamp, held=decision.status == "held")


async def _prepare(topics: Topics, settings: Settings) -> None:
    """Topics that do not fill the disk: what everybody has read goes, and the changelog is compacted often."""
    forgetting = STREAM_CLOCK | {"retention.bytes": str(8 * _SEGMENT_BYTES), "segment.bytes": str(_SEGMENT_BYTES)}
    compacted = STREAM_CLOCK | {"cleanup.policy": "compact", "segment.bytes": str(_SEGMENT_BYTES)}
    for name, config in (
        (REQUESTS, forgetting | APPEND_TIME),
        (DECISIONS, forgetting | APPEND_TIME),
        ("credit-grants", forgetting),
        ("loanrouter-borrowers-changelog", compacted),
    ):
        await topics.create([topic_name(settings, name)], config)
    await create_topics(settings)


def _now() -> int:
    return int(time.time() * 1000)


if __name__ == "__main__":
    main(prog_name="./dev soak")
