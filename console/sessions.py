"""Sessions in Redis, and how often somebody may try to log in.

The browser holds a random token; Redis its hash, so that who reads Redis cannot go on with a session.
"""

import hmac
import secrets
import time
from hashlib import sha256
from typing import NamedTuple

import msgspec

from config.settings import Settings
from console.keys import TextRedis, key
from console.people import People, User

IDLE_SECONDS = 3600
LONGEST_SECONDS = 12 * 3600
#: Failures in a quarter of an hour before no more are heard: for one name, and from one address.
OF_A_NAME, FROM_AN_ADDRESS = 10, 50
_WINDOW_SECONDS = 900


class _Session(msgspec.Struct, frozen=True):
    name: str
    stamp: str
    csrf: str
    until: float


_decoder = msgspec.json.Decoder(_Session)


class Visit(NamedTuple):
    """Somebody who is logged in. `csrf` must come with every write."""

    user: User
    csrf: str

    def wrote(self, csrf: str) -> bool:
        """Whether a write with this token comes from one of our own pages."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode())


class Sessions:
    """The sessions of one console."""

    def __init__(self, redis: TextRedis, settings: Settings, people: People) -> None:
        self._redis = redis
        self._settings = settings
        self._people = people

    async def begin(self, user: User) -> str:
        """A new session; gives its token."""
        token = secrets.token_urlsafe(32)
        session = _Session(user.name, user.stamp, secrets.token_urlsafe(32), time.time() + LONGEST_SECONDS)
        await self._redis.set(self._key(token), msgspec.json.encode(session).decode(), ex=IDLE_SECONDS)
        return token

    async def visit(self, token: str) -> Visit | None:
        """Who has this token, if the session has not ended."""
        found = await self._redis.getex(self._key(token), ex=IDLE_SECONDS)
        if found is None:
            return None
        session = _decoder.decode(found)
        user = await self._people.find(session.name)
        if user is None or user.stamp != session.stamp or time.time() >= session.until:
            await self.end(token)
            return None
        return Visit(user, session.csrf)

    async def end(self, token: str) -> None:
        """End a session."""
        await self._redis.delete(self._key(token))

    async def may_try(self, name: str, address: str) -> bool:
        """Count an attempt to log in; whether it may be made."""
        limits = {("tries-of", name): OF_A_NAME, ("tries-from", address): FROM_AN_ADDRESS}
        async with self._redis.pipeline(transaction=True) as pipe:
            for kind, who in limits:
                tries = self._tries(kind, who)
                pipe.incr(tries)
                pipe.expire(tries, _WINDOW_SECONDS, nx=True)
            counts = (await pipe.execute())[::2]
        return all(count <= limit for count, limit in zip(counts, limits.values(), strict=True))

    async def succeeded(self, name: str, address: str) -> None:
        """The attempt counted last was a good one: forget it, and the failures of the name."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(self._tries("tries-of", name))
            pipe.decr(self._tries("tries-from", address))
            pipe.expire(self._tries("tries-from", address), _WINDOW_SECONDS, nx=True)
            await pipe.execute()

    def _tries(self, kind: str, who: str) -> str:
        return key(self._settings, kind, sha256(who.encode()).hexdigest()[:32])

    def _key(self, token: str) -> str:
        return key(self._settings, "session", sha256(token.encode()).hexdigest())
