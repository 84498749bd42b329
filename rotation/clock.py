"""Stream time in the business's calendar: milliseconds since the epoch, Shanghai days, opening hours.

China has kept UTC+8 without daylight saving since 1991, so the offset is a constant.
"""

from datetime import UTC, datetime
from functools import lru_cache

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_SHANGHAI = 8 * 60 * MINUTE


def rfc3339(at: int) -> str:
    """`at` (ms) as RFC 3339 in UTC with `Z` and milliseconds."""
    seconds, milliseconds = divmod(at, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


def shanghai_day(at: int) -> str:
    """The Shanghai calendar day of `at` (ms), as yyyymmdd."""
    return _day((at + _SHANGHAI) // DAY)


def shanghai_minute(at: int) -> int:
    """Minute of the Shanghai day of `at` (ms), 0 to 1439."""
    return (at + _SHANGHAI) % DAY // MINUTE


def shanghai_midnight(at: int) -> int:
    """When the Shanghai day of `at` began (ms)."""
    return (at + _SHANGHAI) // DAY * DAY - _SHANGHAI


def minutes_open(hours: str) -> tuple[int, int]:
    """The minutes of the Shanghai day at which opening hours such as `06:00-23:00` begin and end."""
    opens, closes = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    return opens, closes


def next_minute_of_day(at: int, minute: int) -> int:
    """The first time (ms) after `at` at which a Shanghai clock shows `minute` (0 is midnight)."""
    moment = shanghai_midnight(at) + minute * MINUTE
    return moment if moment > at else moment + DAY


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * (DAY // 1000), UTC).strftime("%Y%m%d")
