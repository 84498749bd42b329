"""What shadows of drafts have seen (`loanrouter shadow`), kept for the draft's content."""

from typing import Final, Self

import msgspec

from config.settings import Settings
from console.keys import TextRedis, connect, key
from whatif.shadow_told import Watch

_KEPT_SECONDS: Final = 90 * 86_400
_SHOWN: Final = 50


class Shadows:
    """The last word of each shadow, by the `config_sha256` of its draft. Every call may raise `RedisError`."""

    def __init__(self, redis: TextRedis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings

    @classmethod
    def connect(cls, settings: Settings) -> Self:
        """With a client of its own. Close it."""
        return cls(connect(settings), settings)

    async def aclose(self) -> None:
        """Close the client's connections."""
        await self._redis.aclose()

    async def post(self, watch: Watch) -> None:
        """Keep what a shadow has seen so far, with the last decisions that differ."""
        seen = msgspec.structs.replace(watch.seen, differing=watch.seen.differing[-_SHOWN:])
        kept = msgspec.json.encode(msgspec.structs.replace(watch, seen=seen))
        await self._redis.set(self._key(watch.draft_sha256), kept, ex=_KEPT_SECONDS)

    async def of(self, sha256: str) -> Watch | None:
        """What the last shadow of this content saw."""
        kept = await self._redis.get(self._key(sha256))
        return None if kept is None else msgspec.json.decode(kept, type=Watch)

    def _key(self, sha256: str) -> str:
        return key(self._settings, "shadow", sha256)
