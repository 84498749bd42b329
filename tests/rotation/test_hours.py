"""Law: the business keeps Shanghai time, UTC+8 all year, and a hold falls due at the next change that may help.

That is an opening time of a configured funder, midnight in Shanghai (a new day's quota), or its own expiry.
"""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotation.clock import DAY, MINUTE, next_minute_of_day, rfc3339, shanghai_day, shanghai_minute
from tests.rotation.world import HOUR, T0, policy, time

#: Midnight in Shanghai that begins 2 November 2026.
MIDNIGHT = T0 + 10 * HOUR
NEVER = T0 + 3650 * DAY
SHANGHAI = timezone(timedelta(hours=8))
#: From the epoch to the last time that an event may tell.
times = st.integers(0, 253_370_764_800_000 - 1)
quick = settings(max_examples=200, derandomize=True)


@quick
@given(times)
def test_times_are_written_in_utc_with_milliseconds(at: int) -> None:
    """RFC 3339 with `Z`; read back it is the same moment."""
    written = rfc3339(at)
    assert written == time(at).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at % 1000:03d}Z"
    assert datetime.fromisoformat(written) == time(at)


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (T0 + 999, "2026-11-01T06:00:00.999Z"),
        (T0 + 1000, "2026-11-01T06:00:01.000Z"),
        (253_370_764_799_999, "9998-12-31T23:59:59.999Z"),
    ],
)
def test_known_times_are_written_as_they_are(at: int, written: str) -> None:
    """The epoch, a second's first and last millisecond, the last time there is."""
    assert rfc3339(at) == written


@quick
@given(times)
def test_day_and_minute_are_those_of_a_clock_in_shanghai(at: int) -> None:
    """As the calendar of UTC+8 tells them."""
    there = time(at).astimezone(SHANGHAI)
    assert shanghai_day(at) == there.strftime("%Y%m%d")
    assert shanghai_minute(at) == there.hour * 60 + there.minute


@pytest.mark.parametrize(
    ("at", "day", "minute"),
    [
        (T0, "20261101", 14 * 60),
        (MIDNIGHT - 1, "20261101", 1439),
        (MIDNIGHT, "20261102", 0),
        (MIDNIGHT + MINUTE - 1, "20261102", 0),
        (0, "19700101", 480),
    ],
)
def test_a_shanghai_day_begins_at_16_utc(at: int, day: str, minute: int) -> None:
    """To the millisecond."""
    assert (shanghai_day(at), shanghai_minute(at)) == (day, minute)


@quick
@given(times, st.integers(0, 1439))
def test_the_next_time_of_a_minute_is_after_now_and_within_a_day(at: int, minute: int) -> None:
    """It is the first moment at which a Shanghai clock shows that minute."""
    following = next_minute_of_day(at, minute)
    assert at < following <= at + DAY
    assert shanghai_minute(following) == minute
    assert following % MINUTE == 0


WAKES = [
    # hours of all funders, now, expiry, when it falls due
    ("00:00-24:00", T0, NEVER, MIDNIGHT),
    ("00:00-24:00", MIDNIGHT - 1, NEVER, MIDNIGHT),
    ("00:00-24:00", MIDNIGHT, NEVER, MIDNIGHT + DAY),
    ("08:30-20:00", T0, NEVER, MIDNIGHT),
    ("08:30-20:00", MIDNIGHT, NEVER, MIDNIGHT + 8 * HOUR + 30 * MINUTE),
    ("08:30-20:00", MIDNIGHT + 8 * HOUR + 30 * MINUTE - 1, NEVER, MIDNIGHT + 8 * HOUR + 30 * MINUTE),
    ("08:30-20:00", MIDNIGHT + 8 * HOUR + 30 * MINUTE, NEVER, MIDNIGHT + DAY),
    ("22:00-02:30", T0, NEVER, MIDNIGHT - 2 * HOUR),
    ("22:00-02:30", MIDNIGHT - 2 * HOUR, NEVER, MIDNIGHT),
    ("22:00-02:30", MIDNIGHT, NEVER, MIDNIGHT + 22 * HOUR),
    ("23:59-24:00", MIDNIGHT - MINUTE - 1, NEVER, MIDNIGHT - MINUTE),
    ("23:59-24:00", MIDNIGHT - MINUTE, NEVER, MIDNIGHT),
    ("00:00-24:00", T0, T0 + 1, T0 + 1),
    ("00:00-24:00", T0, MIDNIGHT, MIDNIGHT),
    ("08:30-20:00", T0, MIDNIGHT - 1, MIDNIGHT - 1),
]


@pytest.mark.parametrize(("hours", "now", "expires", "due"), WAKES)
def test_a_hold_falls_due_at_the_first_change(hours: str, now: int, expires: int, due: int) -> None:
    """Opening time, midnight or expiry, whichever comes first after now."""
    assert policy({"funders.*.open": hours}).next_wake(now, expires) == due


minutes = st.integers(0, 1439)


@settings(max_examples=60, derandomize=True)
@given(st.lists(minutes, min_size=1, max_size=4), st.integers(0, 2 * DAY))
def test_no_change_is_passed_over(opens: list[int], after: int) -> None:
    """Against a clock that is looked at every minute of two days: nothing opens between now and when it falls due."""
    now = T0 + after
    edits = {
        f"funders.{funder_id}.open": f"{minute // 60:02d}:{minute % 60:02d}-{(minute + 1) % 1440 // 60:02d}:30"
        for funder_id, minute in zip(("bank-east", "cf-north", "cf-west", "trust-south"), opens, strict=False)
    }
    configured = policy({"funders.*.open": "00:00-24:00", **edits})
    changes = {0, *opens}
    next_minute = now // MINUTE * MINUTE + MINUTE
    ticks = (next_minute + each * MINUTE for each in range(1441))
    expected = next(tick for tick in ticks if shanghai_minute(tick) in changes)
    assert configured.next_wake(now, NEVER) == expected
