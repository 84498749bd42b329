"""The log of configuration changes for programs: `loanrouter config` with a token."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from aiokafka.errors import KafkaError

from config.problems import ConfigError
from config.records import (
    Activation,
    Approval,
    FunderSwitch,
    Proposal,
    Record,
    Rollback,
    RotationSwitch,
    Withdrawal,
    read,
)
from console.desk import DESK, user_of
from console.guard import Page
from console.people import Role
from console.render import problem
from streams.config_log import KafkaLog, RecordRefused, write

_PATH = "/api/rotation-config"
#: Who may write what, as on the pages. What is not named here nobody writes this way.
_ROLES: Mapping[type, Role] = {
    Proposal: "editor",
    Withdrawal: "editor",
    Approval: "approver",
    Activation: "operator",
    Rollback: "operator",
    FunderSwitch: "operator",
    RotationSwitch: "operator",
}


async def records(request: web.Request) -> web.Response:
    """Every record of the log: offset, and value in base64."""
    try:
        values = await KafkaLog(request.app[DESK].settings).values()
    except KafkaError as error:
        return _kafka_is_away(request, error)
    return web.json_response({"records": [{"offset": n, "value": b64encode(value).decode()} for n, value in values]})


async def append(request: web.Request) -> web.Response:
    """Write a record of the log in the user's name, now; tells its offset, or why it is refused."""
    desk, user = request.app[DESK], user_of(request)
    try:
        told = read(await request.read())
    except ConfigError as error:
        return problem(request, 400, f"This is no record of rotation-config: {error}")
    role = _ROLES.get(type(told))
    if role is None:
        return problem(request, 403, "No whole revision is written by way of the console: propose it as a draft.")
    if not user.may(role):
        return problem(request, 403, f"This takes the role {role}.", role=role)
    record: Record = msgspec.structs.replace(told, author=user.name, occurred_at=datetime.now(UTC))
    try:
        _, written = await write(KafkaLog(desk.settings), lambda _: record)
        await desk.follower.until(written.entry.offset)
    except RecordRefused as refused:
        return web.json_response({"offset": refused.offset, "refused": str(refused)}, status=409)
    except KafkaError as error:
        return _kafka_is_away(request, error)
    return web.json_response({"offset": written.entry.offset, "refused": None})


def _kafka_is_away(request: web.Request, error: KafkaError) -> web.Response:
    return problem(request, 503, f"Kafka does not answer: {error}")


PAGES = (
    Page("GET", _PATH, "viewer", records, by_token=True),
    Page("POST", _PATH, "viewer", append, by_token=True),
)
