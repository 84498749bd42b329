"""What every page has at hand."""

from dataclasses import dataclass

from aiohttp import web

from config.settings import Settings
from console.board import Board
from console.follower import Follower
from console.people import People, User
from console.sessions import Sessions, Visit
from console.shadows import Shadows
from console.tokens import Tokens
from console.trials import Trials
from streams.reservations import RedisBook


@dataclass(frozen=True, slots=True)
class Desk:
    """The console's parts: users, their sessions and tokens, the configuration's log as it is followed, the board, the
    reservations, the what-ifs, what shadows have seen."""

    settings: Settings
    people: People
    sessions: Sessions
    tokens: Tokens
    follower: Follower
    board: Board
    book: RedisBook
    trials: Trials
    shadows: Shadows


DESK = web.AppKey("desk", Desk)
_VISIT = "visit"


def remember(request: web.Request, visit: Visit) -> None:
    """Note who makes this request."""
    request[_VISIT] = visit


def visit_of(request: web.Request) -> Visit | None:
    """Who makes this request; None on pages that need no login."""
    visit: Visit | None = request.get(_VISIT)
    return visit


def user_of(request: web.Request) -> User:
    """The user who makes this request, on a page that needs login."""
    visit = visit_of(request)
    assert visit is not None
    return visit.user


def author_of(request: web.Request) -> str:
    """The name of that user."""
    return user_of(request).name
