"""Who may use the console, and as what: users in Redis, their passwords hashed by Argon2.

Everybody may look. `editor` proposes changes, `approver` approves those of others, `operator` activates, rolls back
and throws the switches, `admin` keeps the users. Whoever was given a password must choose another one first.
"""

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Literal, get_args

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from redis.exceptions import WatchError

from config.settings import Settings
from console.keys import TextRedis, key

Role = Literal["viewer", "editor", "approver", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

FIRST_ADMIN = "admin"
SHORTEST_PASSWORD = 12
_LONGEST_PASSWORD = 1024
_NAMES = "a name is 1 to 64 small letters, digits, dots, lines, hyphens or @"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
#: An attempt takes 64 MiB for its time; more at once wait.
_AT_ONCE = 2


class PeopleError(Exception):
    """A user cannot be made what was asked for; the message is for a person."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user. `stamp` is another one with each new password: sessions of an earlier one have ended."""

    name: str
    roles: frozenset[Role]
    password: str
    must_change: bool
    stamp: str = msgspec.field(default_factory=secrets.token_hex)

    def may(self, role: Role) -> bool:
        """Whether the user has the role; everybody is a viewer."""
        return role == "viewer" or role in self.roles


_decoder = msgspec.json.Decoder(User)


class People:
    """The users of one console."""

    def __init__(self, redis: TextRedis, settings: Settings) -> None:
        self._redis = redis
        self._users = key(settings, "users")
        self._hasher = PasswordHasher()
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    async def all(self) -> list[User]:
        """Every user, by name."""
        found: dict[str, str] = await self._redis.hgetall(self._users)
        return [_decoder.decode(found[name]) for name in sorted(found)]

    async def find(self, name: str) -> User | None:
        """A user."""
        found = await self._redis.hget(self._users, name)
        return None if found is None else _decoder.decode(found)

    async def first_admin(self) -> str | None:
        """Where there is no user yet, make the first one, an admin; gives the one-time password, else None."""
        if await self._redis.hlen(self._users):
            return None
        password = _one_time()
        user = User(name=FIRST_ADMIN, roles=frozenset({"admin"}), password=await self._hash(password), must_change=True)
        made = await self._redis.hsetnx(self._users, user.name, msgspec.json.encode(user).decode())
        return password if made else None

    async def add(self, name: str, roles: Iterable[str], password: str | None = None) -> str:
        """Make a user; gives the password, a one-time one where none is given. Raises `PeopleError`."""
        if not _NAME.fullmatch(name):
            raise PeopleError(_NAMES)
        given = password or _one_time()
        user = User(name=name, roles=_checked(roles), password=await self._hash(given), must_change=password is None)
        if not await self._redis.hsetnx(self._users, name, msgspec.json.encode(user).decode()):
            raise PeopleError(f"{name} is a user already")
        return given

    async def set_roles(self, name: str, roles: Iterable[str]) -> None:
        """Give a user these roles and no others; raises `PeopleError`."""
        wanted = _checked(roles)
        await self._change(name, lambda user: msgspec.structs.replace(user, roles=wanted))

    async def set_password(self, name: str, password: str) -> None:
        """A password that the user chose; ends all their sessions. Raises `PeopleError`."""
        if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
            raise PeopleError(f"a password has at least {SHORTEST_PASSWORD} characters")
        hashed = await self._hash(password)
        await self._change(
            name,
            lambda user: msgspec.structs.replace(user, password=hashed, must_change=False, stamp=secrets.token_hex()),
        )

    async def reset_password(self, name: str) -> str:
        """Give a user a one-time password; ends all their sessions. Raises `PeopleError`."""
        password = _one_time()
        hashed = await self._hash(password)
        await self._change(
            name,
            lambda user: msgspec.structs.replace(user, password=hashed, must_change=True, stamp=secrets.token_hex()),
        )
        return password

    async def remove(self, name: str) -> None:
        """Take a user out; raises `PeopleError`."""
        await self._change(name, lambda user: None)

    async def introduced(self, name: str, roles: Iterable[str] | None) -> User:
        """The user who has logged in at a proxy that is believed; made, without a password, when new.

        `roles` are those that the proxy tells, names of others left out; None where they are kept here. Raises
        `PeopleError`.
        """
        if not _NAME.fullmatch(name):
            raise PeopleError(_NAMES)
        known = await self.find(name)
        told = () if roles is None else set(roles)
        wanted = known.roles if known and roles is None else frozenset(role for role in ROLES if role in told)
        if known is not None and known.roles == wanted:
            return known
        user = known or User(name=name, roles=wanted, password=self._nobody, must_change=False)
        user = msgspec.structs.replace(user, roles=wanted)
        await self._redis.hset(self._users, name, msgspec.json.encode(user).decode())
        return user

    async def verified(self, name: str, password: str) -> User | None:
        """The user with this password; takes as long when there is none."""
        user = await self.find(name)
        hashed = self._nobody if user is None else user.password
        async with self._free:
            good = await asyncio.to_thread(self._matches, hashed, password[:_LONGEST_PASSWORD])
        return user if good else None

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except VerifyMismatchError:
            return False

    async def _hash(self, password: str) -> str:
        async with self._free:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def _change(self, name: str, change: Callable[[User], User | None]) -> None:
        """Put what `change` makes of a user in their place; None takes them out."""
        async with self._redis.pipeline(transaction=True) as pipe:
            while True:
                try:
                    await pipe.watch(self._users)
                    await self._put(pipe, name, change)
                    return
                except WatchError:
                    continue

    async def _put(self, pipe: TextRedis, name: str, change: Callable[[User], User | None]) -> None:
        users: dict[str, str] = await pipe.hgetall(self._users)
        if name not in users:
            raise PeopleError(f"{name} is no user")
        changed = change(_decoder.decode(users[name]))
        others = (_decoder.decode(user) for other, user in users.items() if other != name)
        if not (changed is not None and "admin" in changed.roles) and not any("admin" in user.roles for user in others):
            raise PeopleError("somebody has to be admin: make somebody else one first")
        pipe.multi()
        if changed is None:
            pipe.hdel(self._users, name)
        else:
            pipe.hset(self._users, name, msgspec.json.encode(changed).decode())
        await pipe.execute()


def _checked(roles: Iterable[str]) -> frozenset[Role]:
    wanted = set(roles)
    if unknown := wanted - set(ROLES):
        raise PeopleError(f"no such role: {', '.join(sorted(unknown))}; there are {', '.join(ROLES)}")
    return frozenset(role for role in ROLES if role in wanted)


def _one_time() -> str:
    return secrets.token_urlsafe(12)
