"""The console's web server."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from redis.exceptions import RedisError

from config.settings import Settings
from console.board import Board
from console.desk import DESK, Desk
from console.follower import Follower
from console.guard import Page, add_headers, guarded
from console.keys import connect
from console.pages import api, borrowers, configuration, funders, overview, people, shadow, tokens, what_if
from console.people import People
from console.projection import project
from console.render import problem
from console.sessions import Sessions
from console.shadows import Shadows
from console.tokens import Tokens
from console.trials import Trials
from streams.reservations import RedisBook

log = logging.getLogger("loanrouter.console")

PAGES: tuple[Page, ...] = (
    *overview.PAGES,
    *borrowers.PAGES,
    *funders.PAGES,
    *configuration.PAGES,
    *what_if.PAGES,
    *shadow.PAGES,
    *people.PAGES,
    *tokens.PAGES,
    *api.PAGES,
)
_LARGEST_REQUEST = 2 * 1024 * 1024


@asynccontextmanager
async def desk_of(settings: Settings) -> AsyncIterator[Desk]:
    """The desk, connected; raises `KafkaError` or `RedisError` when a server does not answer."""
    redis = connect(settings)
    book = RedisBook.connect(settings.redis_client_args(), settings.topic_prefix, settings.partitions)
    follower = Follower(settings)
    trials = Trials(redis, settings)
    try:
        trials.clean()
        await redis.ping()
        await follower.start()
        users = People(redis, settings)
        sessions, handed_out = Sessions(redis, settings, users), Tokens(redis, settings, users)
        board, shadows = Board(redis, settings), Shadows(redis, settings)
        yield Desk(settings, users, sessions, handed_out, follower, board, book, trials, shadows)
    finally:
        await trials.stop()
        await follower.stop()
        await book.aclose()
        await redis.aclose()


def make_app(desk: Desk) -> web.Application:
    """The application: every page behind its guard."""
    app = web.Application(middlewares=[_in_words], client_max_size=_LARGEST_REQUEST)
    app[DESK] = desk
    for page in PAGES:
        app.router.add_route(page.method, page.path, guarded(page))
    app.router.add_static("/static/", Path(__file__).with_name("static"))
    app.on_response_prepare.append(add_headers)
    return app


async def serve(settings: Settings, desk: Desk, stop: asyncio.Event) -> None:
    """Serve the pages and keep the board up to date until `stop` is set; raises what ended one of them."""
    runner = web.AppRunner(make_app(desk), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.console_host, settings.console_port).start()
        working = {
            asyncio.create_task(desk.follower.run()),
            asyncio.create_task(project(settings, desk.board)),
            asyncio.create_task(stop.wait()),
        }
        done, others = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for task in done:
            task.result()
    finally:
        await runner.cleanup()


@web.middleware
async def _in_words(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Say on a page of ours what cannot be had."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        return problem(request, error.status, "There is no such page.")
    except RedisError as error:
        log.warning("Redis does not answer: %s", error)
        return problem(request, 503, "Redis does not answer: try again in a moment.")
