"""How what runs on comes to its end: by a signal, or when its task is cancelled."""

import asyncio
import signal


def is_ending() -> bool:
    """Whether the present task was cancelled, also when a library swallowed that, as aiokafka at times does."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def asked_to_end() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set from now on, for the running loop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop
