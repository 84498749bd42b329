"""How a process that runs on writes its log: lines for people, or JSON objects for machines."""

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from config.settings import Settings

_NAMES = {"asctime": "time", "levelname": "level", "name": "logger", "message": "message"}
#: What a line may carry besides: libraries add objects of their own, which may hold anything.
_FIELDS = {*_NAMES, "exc_info", "stack_info", "decision_id", "trace_id", "topic", "partition", "offset"}


class _OneObject(JsonFormatter):
    def __init__(self) -> None:
        super().__init__(list(_NAMES), rename_fields=_NAMES)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in log_data.items() if name in self._allowed and value is not None}

    _allowed = _FIELDS | set(_NAMES.values())


def begin_log(env: Mapping[str, str]) -> Settings:
    """Write what this process and its libraries log to standard error; as JSON also what it ends with.

    Gives the settings in `env`; a `SettingsError` about another one than the format is raised when that is set up.
    """
    handler = logging.StreamHandler()
    form = {name: text for name, text in env.items() if name == "LOANROUTER_LOG_FORMAT"}
    if Settings.from_env(form).log_format == "json":
        handler.setFormatter(_OneObject())
        logging.captureWarnings(True)
        sys.excepthook = _log_end
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    settings = Settings.from_env(env)
    logging.getLogger().setLevel(settings.log_level)
    return settings


def log_refusal(message: str) -> bool:
    """Log why a command ends; false when its log is for people, who are told otherwise."""
    if not any(isinstance(handler.formatter, _OneObject) for handler in logging.getLogger().handlers):
        return False
    logging.getLogger("loanrouter").critical(message)
    return True


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("loanrouter").critical("ended by an error", exc_info=(kind, error, trace))
