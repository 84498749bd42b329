"""Tasks that end when they are cancelled, also when a library on their way swallows it, as aiokafka at times does."""

import asyncio


def is_ending() -> bool:
    """Whether the present task was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
