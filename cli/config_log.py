"""Where `loanrouter config` reads and writes the log of configuration changes: in Kafka, or by way of a console.

By way of a console (`LOANROUTER_CONSOLE_URL`) the one who writes is the user of the token, with that user's roles, and
needs no access to Kafka.
"""

from base64 import b64decode
from typing import Any

import aiohttp
import click

from config.records import Record, encode
from config.settings import Settings
from streams.config_log import ConfigLog, KafkaLog, RecordRefused

_PATH = "/api/rotation-config"
_SECONDS = aiohttp.ClientTimeout(total=60)


def config_log(settings: Settings) -> ConfigLog:
    """The log that the settings mean."""
    return _ConsoleLog(settings) if settings.console_url else KafkaLog(settings)


class _ConsoleLog:
    """The log behind a console; what goes wrong on the way ends the command in words."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.console_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {settings.console_token}", "Accept": "application/json"}

    async def values(self) -> list[tuple[int, bytes]]:
        """Ask for all records."""
        told = await self._ask("GET", None)
        return [(each["offset"], b64decode(each["value"])) for each in told["records"]]

    async def append(self, record: Record) -> int:
        """Have it written, in the name of the token's user; raises `RecordRefused`."""
        told = await self._ask("POST", encode(record))
        if told["refused"] is not None:
            raise RecordRefused(record, told["offset"], told["refused"])
        return int(told["offset"])

    async def _ask(self, method: str, body: bytes | None) -> Any:
        try:
            async with (
                aiohttp.ClientSession(headers=self._headers, timeout=_SECONDS) as session,
                session.request(method, self._url + _PATH, data=body, allow_redirects=False) as answer,
            ):
                if answer.content_type == "application/json":
                    return await answer.json()
                words = (await answer.text()).strip()[:200] if answer.content_type == "text/plain" else ""
        except (aiohttp.ClientError, TimeoutError) as error:
            raise click.ClickException(f"console at {self._url}: {str(error) or 'does not answer'}") from None
        raise click.ClickException(f"console at {self._url}: {words or f'answered {answer.status}'}")
