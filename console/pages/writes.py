"""How a page writes to the log of configuration changes: what the form says, and what came of it."""

from collections.abc import Callable
from datetime import UTC, datetime

from aiohttp import web
from aiokafka.errors import KafkaError

from config.changes import NothingToChange, Signature
from config.lifecycle import Lifecycle
from config.records import Ramp, Record
from console.desk import DESK, author_of
from console.render import in_shanghai
from streams.config_log import KafkaLog, RecordRefused, Written, write


class NotWritten(Exception):
    """Nothing has changed; the message is for a person."""


async def field(request: web.Request, name: str) -> str:
    """A field of the form, without blanks around it; empty when it is not there."""
    return str((await request.post()).get(name, "")).strip()


async def moment(request: web.Request) -> datetime | None:
    """The form's time `at`, of a Shanghai clock; None when it has none. Raises `NotWritten` for what is no time."""
    text = await field(request, "at")
    try:
        return in_shanghai(text) if text else None
    except ValueError:
        raise NotWritten("That is no time.") from None


async def steps(request: web.Request) -> Ramp | None:
    """The form's `shares` (%), the next one `every` so many hours; None when it has none. Raises `NotWritten`."""
    shares, every = await field(request, "shares"), await field(request, "every")
    if not shares:
        return None
    try:
        return Ramp([int(each) for each in shares.split(",")], int(float(every) * 3600))
    except ValueError:
        raise NotWritten("Shares are whole per cents with commas between, hours a number.") from None


async def signature(request: web.Request, *, needs_reason: bool = True) -> Signature:
    """The user of this request, now, with the form's reason; raises `NotWritten` when there has to be one."""
    reason = await field(request, "reason")
    if needs_reason and not reason:
        raise NotWritten("Say why.")
    return Signature(author_of(request), reason or None, datetime.now(UTC))


async def put(request: web.Request, make: Callable[[Lifecycle], Record]) -> Written:
    """Write a record, and wait until the pages show what came of it; raises `NotWritten`."""
    desk = request.app[DESK]
    try:
        _, written = await write(KafkaLog(desk.settings), make)
        await desk.follower.until(written.entry.offset)
    except (NothingToChange, RecordRefused) as error:
        raise NotWritten(str(error)) from None
    except KafkaError as error:
        raise NotWritten(f"Kafka does not answer: {error}") from None
    return written
