"""Law: room is dear while a quota is used faster than it would last for the day, and free while it would last."""

from random import Random

import pytest

from capture.learn import learn
from capture.pacing import price
from capture.record import FunderRecord, decode_funder, encode_funder
from config.rotation import Funder, Pacing
from rotation.clock import DAY, HOUR
from rotation.outputs import FunderOutcome
from tests.rotation.world import T0, configuration

#: Midnight in Shanghai.
MIDNIGHT = T0 // DAY * DAY + 16 * HOUR
RULES = Pacing(step=4.0)
LOAN = 100_000


def funder(hours: str = "00:00-24:00", amount: int = 10**12, count: int = 240) -> Funder:
    """bank-east with these hours and quotas."""
    quota = {"daily_amount": amount, "daily_count": count}
    return configuration({"funders.bank-east.open": hours, "funders.bank-east.quota": quota}).funders[0]


class Day:
    """Loans of a funder by the hour, each looked at when the hour is over."""

    def __init__(self, of: Funder) -> None:
        self.record, self._funder, self._told, self.now = FunderRecord(), of, 0, MIDNIGHT
        self.price = 0.0

    def hour(self, loans: int, hours: int = 1) -> float:
        """So many hours with so many loans in each; the price then."""
        for _ in range(hours):
            for _ in range(loans):
                self._told += 1
                loan = FunderOutcome(self._funder.id, "A", "disbursed", self.now, decided_at=self.now, amount=LOAN)
                learn(self.record, loan, (0, self._told), self._funder, configuration().capture)
            self.now += HOUR
            self.record = decode_funder(encode_funder(self.record))
            self.price = price(self.record, self._funder, RULES, self.now)
        return self.price


def test_an_even_use_costs_nothing() -> None:
    """Ten loans in each of 24 hours, of a quota of 240; a funder that nobody draws from costs nothing either."""
    assert Day(funder()).hour(10, hours=23) == pytest.approx(0, abs=0.1)
    assert Day(funder()).hour(0, hours=23) == 0


@pytest.mark.parametrize("scarce", [funder(), funder(count=10**6, amount=240 * LOAN)], ids=["count", "amount"])
def test_the_price_rises_with_haste_and_falls_with_calm(scarce: Funder) -> None:
    """By whichever quota is scarce, in proportion to what was used too much; never below 0."""
    day = Day(scarce)
    hasty = day.hour(30, hours=4)
    # Half is used in a sixth of the day; what an even use of the rest would have been is 0.13 in all.
    assert hasty == pytest.approx(4 * (0.5 - 0.13), abs=0.1)
    hastier = day.hour(40)
    assert hastier > hasty
    assert day.hour(0, hours=6) < hastier
    assert day.hour(0, hours=60) == 0


def test_only_opening_hours_count() -> None:
    """Quotas are spread over them, also when they go past midnight; closed hours pass for nothing."""
    for hours, closed in (("12:00-22:00", 12), ("22:00-08:00", 0)):
        day = Day(funder(hours, count=100))
        assert day.hour(0, hours=closed) == 0
        assert day.hour(10, hours=7) == pytest.approx(0, abs=0.1)
        assert day.hour(30) > 0.5


def test_a_price_outlives_midnight() -> None:
    """Who was sold out yesterday is dear this morning, before anybody came."""
    day = Day(funder())
    sold_out = day.hour(40, hours=6)
    assert sold_out > 1
    evening = day.hour(0, hours=17)
    assert evening == pytest.approx(sold_out, abs=0.1), "with nothing left there is nothing to fall behind"
    assert 0 < day.hour(0, hours=2) <= evening


def test_days_without_a_word_make_it_free() -> None:
    """Also after a year, at once."""
    day = Day(funder())
    day.hour(40, hours=6)
    day.now += 400 * DAY
    assert price(day.record, funder(), RULES, day.now) == 0
    assert day.hour(10) == pytest.approx(0, abs=0.1)
    assert len(day.record.pace.lent) == 1


def test_it_makes_a_quota_last_where_there_are_others() -> None:
    """Of twice as many drawdowns as fit, the price turns so many away that most of the day has room.

    Someone comes to this funder by a chance of weight · e^(−price) against another of the same weight; from the second
    day on, when it has learnt.
    """
    rng, day, last = Random(1), Day(funder()), []
    for _ in range(4):
        left, sold_out = 240, 24
        for hour in range(24):
            asked = sum(rng.random() < 2 / (1 + 2.718**day.record.pace.price) for _ in range(20))
            day.hour(min(asked, left))
            left -= min(asked, left)
            if not left:
                sold_out = min(sold_out, hour)
        last.append(sold_out)
    assert last[0] < 24
    assert min(last[1:]) >= 20
