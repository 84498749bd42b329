"""One worker: the Faust application with its two agents, what guides them, and the reservation book."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import time

import faust
from aiokafka.errors import KafkaError
from faust.web import Request, Response, View
from prometheus_client.exposition import choose_encoder

from agents.funders import FunderBook
from agents.reserve import Reservations
from agents.route import Router
from agents.tracing import Tracing, tracing
from agents.vitals import Vitals
from config.rotation import Revision
from config.settings import Settings
from rotation.state import stored_wake_at
from streams.app import LoanrouterApp, create_app
from streams.batches import Batch
from streams.guide import Guide
from streams.metrics import REGISTRY
from streams.reservations import RedisBook
from streams.topics import BORROWER_INPUTS, TopicsError, check_topics, missing_topics, topic_name
from streams.unreachable import kafka_problem
from streams.worker import running

log = logging.getLogger("loanrouter.worker")

TICK_SECONDS = 0.5
_RETRY_SECONDS = 1.0


@asynccontextmanager
async def serving(settings: Settings, first: Callable[[], Revision]) -> AsyncIterator[LoanrouterApp]:
    """A worker that runs until the end of the context. `first` gives the first revision, for an empty log.

    Waits for Kafka and its topics. Raises `TopicsError` when a topic cannot be used as it is, `ConfigError` when
    the first configuration cannot be, and whatever made the worker crash.
    """
    await _wait_for_topics(settings)
    guide = Guide(settings, first)
    book = RedisBook.connect(settings.redis_client_args(), settings.topic_prefix, settings.partitions)
    try:
        await guide.start()
        with tracing() as spans:
            app = worker_app(settings, guide, book, spans)
            async with running(app):
                ticker = asyncio.create_task(_tick(app, guide), name="ticker")
                try:
                    yield app
                finally:
                    ticker.cancel()
    finally:
        await guide.stop()
        await book.aclose()


def worker_app(settings: Settings, guide: Guide, book: RedisBook, spans: Tracing | None) -> LoanrouterApp:
    """The application with both agents and its pages; `spans` traces decisions."""
    app = create_app(settings)
    requests = topic_name(settings, "drawdown-requests")

    @app.batch_agent("route", topics=list(BORROWER_INPUTS), table="borrowers", mark=stored_wake_at)
    async def route(batches: faust.Stream[Batch]) -> None:
        await router.run(batches)

    @app.batch_agent("funders", topics=["funder-outcomes", "capture-signals"], table="funders")
    async def funders(batches: faust.Stream[Batch]) -> None:
        await FunderBook(settings, guide).run(batches)

    @app.page("/metrics")
    async def metrics(view: View, request: Request) -> Response:
        vitals.show()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return view.bytes(encode(REGISTRY), headers={"Content-Type": content_type})

    def held() -> frozenset[int]:
        return frozenset(tp.partition for tp in app.consumer.assignment() if tp.topic == requests)

    reservations = Reservations(book, guide, app.batch_agents["route"].table, held)
    router = Router(settings, guide, reservations, spans)
    vitals = Vitals(app, guide, router, book)
    app.task(vitals.watch)
    app.readiness.register("lag", vitals.waits)
    app.readiness.register("reservations", reservations.waits_for)
    guide.on_change = app.request_tick
    guide.on_time = app.batch_agents["funders"].tick.set
    return app


async def _wait_for_topics(settings: Settings) -> None:
    said = ""
    while True:
        try:
            missing = await missing_topics(settings)
            if not missing:
                break
            names = ", ".join(missing)
            problem = f"topics are missing, or we may not see them; run `loanrouter topics create`: {names}"
        except (KafkaError, OSError) as error:
            problem = f"Kafka at {settings.kafka}: {await kafka_problem(settings, error)}"
        if problem != said:
            log.warning("waiting to start: %s", problem)
            said = problem
        await asyncio.sleep(_RETRY_SECONDS)
    if wrong := await check_topics(settings):
        raise TopicsError("; ".join(wrong))


async def _tick(app: LoanrouterApp, guide: Guide) -> None:
    while True:
        if app.settings.clock == "wall":
            guide.reach(int(time() * 1000))
        await asyncio.sleep(TICK_SECONDS)
        if (error := guide.failed()) is not None:
            await app.crash(error)
        app.request_tick()
