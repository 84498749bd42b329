"""Tokens with which programs, the command line among them, act for a user.

Redis holds the hash of a token's secret, so that who reads Redis cannot use it. A token ends when its time is over,
when it is revoked, when its user is taken out, and with the user's password: who resets a password trusts nothing that
was handed out before.
"""

import hmac
import re
import secrets
import time
from collections.abc import Iterable
from hashlib import sha256

import msgspec

from config.settings import Settings
from console.keys import TextRedis, key
from console.people import People, Role, User

LONGEST_DAYS = 365
_DAY_SECONDS = 86_400
_TOKEN = re.compile(r"lr_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_LONGEST_LABEL = 64


class TokenError(Exception):
    """A token cannot be made as asked; the message is for a person."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token of `user`, named by `label`, good for those of `roles` that the user still has, until `until` (s)."""

    id: str
    user: str
    label: str
    roles: frozenset[Role]
    made_at: float
    until: float
    stamp: str
    secret: str
    """The hash of the secret half."""


_decoder = msgspec.json.Decoder(Token)


class Tokens:
    """The tokens of one console."""

    def __init__(self, redis: TextRedis, settings: Settings, people: People) -> None:
        self._redis = redis
        self._tokens = key(settings, "tokens")
        self._people = people

    async def make(self, user: User, label: str, roles: Iterable[str], days: int) -> str:
        """A new token, which is told only now; raises `TokenError`."""
        if not (0 < len(label) <= _LONGEST_LABEL and label.isprintable()):
            raise TokenError("Say in a few words what the token is for.")
        if not 1 <= days <= LONGEST_DAYS:
            raise TokenError("A token is good for 1 to 365 days.")
        wanted = frozenset(roles)
        if not wanted <= user.roles:
            raise TokenError("A token has no role that you do not have.")
        number, secret, now = secrets.token_hex(8), secrets.token_urlsafe(32), time.time()
        token = Token(
            id=number,
            user=user.name,
            label=label,
            roles=user.roles & wanted,
            made_at=now,
            until=now + days * _DAY_SECONDS,
            stamp=user.stamp,
            secret=_hash(secret),
        )
        await self._redis.hset(self._tokens, number, msgspec.json.encode(token).decode())
        return f"lr_{number}_{secret}"

    async def of(self, user: User) -> list[Token]:
        """The tokens of a user that are still good, oldest first. Those that have ended are forgotten."""
        kept: dict[str, str] = await self._redis.hgetall(self._tokens)
        tokens = sorted((_decoder.decode(token) for token in kept.values()), key=lambda token: token.made_at)
        mine = [token for token in tokens if token.user == user.name]
        if ended := [token.id for token in mine if not _is_good(token, user)]:
            await self._redis.hdel(self._tokens, *ended)
        return [token for token in mine if token.id not in ended]

    async def revoke(self, user: User, number: str) -> Token | None:
        """End a token of a user; gives it, or None when there is none with this id."""
        token = next((token for token in await self.of(user) if token.id == number), None)
        if token is not None:
            await self._redis.hdel(self._tokens, token.id)
        return token

    async def user(self, text: str) -> User | None:
        """For whom this token speaks, with the roles that it has; None when it is not good."""
        found = _TOKEN.fullmatch(text)
        kept = None if found is None else await self._redis.hget(self._tokens, found[1])
        if found is None or kept is None:
            return None
        token = _decoder.decode(kept)
        user = await self._people.find(token.user)
        if user is None or not _is_good(token, user) or not hmac.compare_digest(token.secret, _hash(found[2])):
            return None
        return msgspec.structs.replace(user, roles=user.roles & token.roles)


def _is_good(token: Token, user: User) -> bool:
    return token.stamp == user.stamp and time.time() < token.until


def _hash(secret: str) -> str:
    # No salt and no slow hash: the secret is 256 random bits.
    return sha256(secret.encode()).hexdigest()
