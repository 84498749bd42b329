"""Redis or Kafka may go and come back at any moment: nothing is decided on a guess, nothing is lost or doubled."""

import signal
from collections import Counter
from datetime import datetime

from rotation.clock import shanghai_day
from rotation.events import millis
from rotation.outputs import Decision
from tests.brokers import ON_APACHE, ApacheKafka
from tests.processes import until
from tests.rotation.world import SECOND, grant, request
from tests.worker.burst import Burst
from tests.worker.conftest import PAIR, Start, until_it_waits_for_redis
from tests.worker.service import Service, funder, now

QUOTA = 6


def new_borrower(service: Service, partition: int) -> str:
    """A borrower with a grant at bank-east only, where nobody else goes."""
    customer_id = service.customer(partition)
    service.tell(grant("bank-east", now(), customer_id=customer_id))
    return customer_id


def ask(service: Service, customer_id: str) -> str:
    """Ask for a drawdown; gives its id."""
    drawdown_id = f"dd-{service.number()}"
    service.tell(request(drawdown_id, now(), amount=50_000, customer_id=customer_id))
    return drawdown_id


def test_redis_goes_and_comes_back_empty(start: Start, pair: Service) -> None:
    """While it is away nobody is ready and nothing is decided; then all is, and the day's quota is not overrun.

    Part of the quota was used before, and when Redis is back only the workers know of that.
    """
    with pair.configured(lambda document: funder(document, "bank-east")["quota"].update(daily_count=QUOTA)):
        borrowers = [new_borrower(pair, number % 4) for number in range(2 * QUOTA)]
        pair.settle_all()
        before = [ask(pair, customer_id) for customer_id in borrowers[: QUOTA - 2]]
        assert [pair.decisions(drawdown_id)[0].status for drawdown_id in before] == ["routed"] * len(before)
        with start.redis.away():
            later = [ask(pair, customer_id) for customer_id in borrowers[QUOTA - 2 :]]
            for name in PAIR:
                until_it_waits_for_redis(pair, name)
                assert pair.workers.page(name, "/readyz").status == 503
            pair.catch_up()
            assert [pair.values(drawdown_id) for drawdown_id in later] == [[]] * len(later)
        pair.workers.wait_ready(*PAIR)
        pair.settle_all()
        decided = [decision for drawdown_id in before + later for decision in pair.decisions(drawdown_id)]
    assert len(decided) == len(borrowers)
    routed = Counter(day_of(decision) for decision in decided if decision.status == "routed")
    assert max(routed.values()) <= QUOTA
    assert routed.total() == QUOTA or len(routed) > 1, "less than the quota, on one day"


def day_of(decision: Decision) -> str:
    """The Shanghai day on which it counts."""
    return shanghai_day(millis(datetime.fromisoformat(decision.decided_at)))


def test_time_that_redis_took_expires_nothing_unread(start: Start, pair: Service) -> None:
    """A grant that came in time, but could not be read while Redis was away, still saves a held drawdown."""
    held, other = pair.customer(0), new_borrower(pair, 0)
    pair.settle_all()
    at, drawdown_id = now(), f"dd-{pair.number()}"
    with start.redis.away():
        pair.tell(request(drawdown_id, at, expires=at + 6 * SECOND, customer_id=held))
        pair.decisions(drawdown_id)
        ask(pair, other)
        for name in PAIR:
            until_it_waits_for_redis(pair, name)
        pair.tell(grant("cf-west", at + SECOND, customer_id=held))
        until(lambda: now() > at + 7 * SECOND)
    pair.workers.wait_ready(*PAIR)
    _, routed = pair.decisions(drawdown_id, 2)
    assert (routed.status, routed.funder_id) == ("routed", "cf-west")


def test_a_worker_drained_while_redis_is_away(start: Start, pair: Service) -> None:
    """SIGTERM ends with 0 though a batch waits for Redis; the other worker decides it, once, when Redis is back."""
    borrowers = [new_borrower(pair, number) for number in range(pair.settings.partitions)]
    pair.settle_all()
    with start.redis.away():
        asked = [ask(pair, customer_id) for customer_id in borrowers]
        for name in PAIR:
            until_it_waits_for_redis(pair, name)
        pair.workers.signal("two", signal.SIGTERM)
    pair.settle_all()
    decided = [decision for drawdown_id in asked for decision in pair.decisions(drawdown_id)]
    assert [(decision.status, decision.funder_id) for decision in decided] == [("routed", "bank-east")] * len(asked)
    pair.workers.start("two")


@ON_APACHE
def test_kafka_restarts(apache_kafka: ApacheKafka, pair: Service) -> None:
    """A broker that crashes in mid-work and comes back: both workers live on, and all is decided once."""
    burst = Burst(pair)
    burst.ask(0.25)
    burst.until_begun()
    burst.ask(0.25)
    apache_kafka.kill()
    apache_kafka.start()
    burst.ask(0.5)
    burst.until_decided()
    assert all(pair.workers.pid(name) for name in PAIR)
