"""`memory`: what a borrower costs in resident memory, and how long a worker takes to be ready with many of them.

The changelog is written by the harness, with records that the core itself makes: borrowers with several grants and a
ledger of twenty loans. The reservation book is told beforehand that it holds all partitions, so recovery is that of
the tables alone.
"""

import asyncio
import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import msgspec

from bench import job
from bench.child import Child
from bench.compare import Progress
from bench.ground import PARTITIONS, Record, Servers, Topics
from bench.job import OURS, START
from bench.ledgers import stored_borrowers
from bench.machine import Machine, this_machine
from bench.run import Run
from config.load import load_file
from config.revisions import first_revision
from config.settings import Settings
from rotation.policy import Policy
from streams.positions import POSITION_KEY, Position, encode_position, stamp
from streams.reservations import RedisBook
from streams.topics import app_id, partition_of

_DIFFERENT = 200
_BATCH = 250  # borrowers of a batch: a position closes it, and only what is closed counts
_READY_SECONDS = 1800.0


class Start(msgspec.Struct, frozen=True):
    """One start of a worker, from its process to its readiness. Bytes as they are then."""

    what: str
    seconds: float
    cpu_seconds: float
    resident: int
    peak_memory: int


class Memory(msgspec.Struct, frozen=True):
    """Starts with no borrower (the first of `starts`) and with all of them. `stored` is their records' size."""

    machine: Machine
    borrowers: int
    stored: int
    starts: list[Start]

    def per_borrower(self, start: Start) -> float:
        """Resident bytes that a borrower adds."""
        return (start.resident - self.starts[0].resident) / self.borrowers


async def measure(servers: Servers, topics: Topics, config: Path, borrowers: int) -> Memory:
    """Start a worker with nobody, then with `borrowers` from the changelog, then with what it has on disk."""
    machine = this_machine()
    policy = Policy(first_revision(load_file(config)), {}, -1)
    progress = Progress("memory")
    nobody = Run(servers, topics, OURS, "memory-nobody", config)
    await _prepare(topics, nobody.settings, policy)
    starts = [await _start(nobody.settings, "nobody", progress)]
    run = Run(servers, topics, OURS, "memory", config)
    await _prepare(topics, run.settings, policy)
    stored = await _write(topics, run.settings, policy, borrowers, progress)
    starts.append(await _start(run.settings, "changelog", progress))
    starts.append(await _start(run.settings, "data folder kept", progress))
    await topics.drop(nobody.settings.topic_prefix)
    await topics.drop(run.settings.topic_prefix)
    for settings in (nobody.settings, run.settings):
        shutil.rmtree(settings.data)
    return Memory(machine, borrowers, stored, starts)


async def _prepare(topics: Topics, settings: Settings, policy: Policy) -> None:
    await job.prepare(topics, settings)
    book = RedisBook.connect(settings.redis_client_args(), settings.topic_prefix, settings.partitions)
    try:
        for partition in range(settings.partitions):
            await book.restore(partition, (), policy.limits)
    finally:
        await book.aclose()


async def _write(topics: Topics, settings: Settings, policy: Policy, borrowers: int, progress: Progress) -> int:
    """Fill the changelog; how many bytes the records hold."""
    bodies = list(islice(stored_borrowers(policy), _DIFFERENT))
    customers = [f"cust-{number:07d}".encode() for number in range(borrowers)]
    changelog = f"{app_id(settings)}-borrowers-changelog"
    mark = stamp(1)
    for partition in range(PARTITIONS):
        progress.say(f"writes the borrowers of partition {partition}")
        keys = [key for key in customers if partition_of(key, PARTITIONS) == partition]

        def records(keys: list[bytes] = keys) -> Iterator[Record]:
            for number, key in enumerate(keys, 1):
                yield Record(changelog, key, mark + bodies[number % _DIFFERENT], START)
                if number % _BATCH == 0 or number == len(keys):
                    yield Record(changelog, POSITION_KEY, mark + encode_position(Position()), START)

        await topics.append(changelog, partition, records())
    return sum(len(bodies[number % _DIFFERENT]) for number in range(borrowers))


async def _start(settings: Settings, what: str, progress: Progress) -> Start:
    settings.data.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with Child(OURS.command, settings.environment(), settings.data.with_name("log")) as child:
        while not _ready(settings.web_port):
            child.check()
            waited = time.monotonic() - began
            progress.say(f"{what}: starts since {waited:.0f} s")
            if waited > _READY_SECONDS:
                raise TimeoutError(f"not ready: {child.last_words()}")
            await asyncio.sleep(0.05)
        seconds, used = time.monotonic() - began, child.usage()
        child.stop()
    progress.end(f"{what}: ready after {seconds:.1f} s, {used.resident / 1024**2:,.0f} MiB")
    return Start(what, seconds, used.cpu, used.resident, used.peak_memory)


def _ready(port: int) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
        return bool(json.load(answer)["ready"])
    return False
