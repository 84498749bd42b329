"""The stock Faust application of the engines that use the library as it comes, or tuned (BENCH_TUNED=1)."""

import logging
import os
from typing import Any

import faust
import mode.loop

from config.settings import Settings
from streams.topics import app_id

RAW: dict[str, Any] = {
    "key_type": bytes,
    "value_type": bytes,
    "key_serializer": "raw",
    "value_serializer": "raw",
}
"""For a topic of bytes as they are."""


def stock_app(settings: Settings) -> faust.App:
    """An application with the library's own settings; tuned, it lingers, logs little and runs on uvloop."""
    tuned = bool(os.environ.get("BENCH_TUNED"))
    if tuned:
        mode.loop.use("uvloop")
        for name in ("faust", "aiokafka", "mode"):
            logging.getLogger(name).setLevel(logging.WARNING)
    return faust.App(
        app_id(settings),
        broker=f"aiokafka://{settings.kafka}",
        datadir=str(settings.data),
        web_host=settings.web_host,
        web_port=settings.web_port,
        producer_linger=0.02 if tuned else None,
    )
