"""A worker that comes to much that was published meanwhile decides as if it had been there all the time."""

from pathlib import Path

import yaml

from rotation.clock import DAY
from tests.conftest import Broker
from tests.rotation.world import SECOND, grant, request
from tests.worker.conftest import CONFIG
from tests.worker.service import Service, item_of


def test_a_backlog_of_requests_is_not_late(kafka: Broker, redis_url: str, tmp_path: Path) -> None:
    """Requests of an hour, more than a fetch brings, are routed, though a later grant is fetched with the first."""
    document = yaml.safe_load(CONFIG.read_text())
    for section in document["funders"]:
        section.update(open="00:00-24:00", quota={"daily_amount": 10**12, "daily_count": 10**6})
    config = tmp_path / "rotation.yaml"
    config.write_text(yaml.safe_dump(document))
    settings = kafka.settings(redis_url, tmp_path / "data", config=config, partitions=1, clock="stream")
    with Service(settings) as service:
        service.create_topics()
        begin = service.day()
        borrowers = [service.customer(0) for _ in range(500)]
        service.tell(*(grant("cf-west", begin - DAY, customer_id=customer_id) for customer_id in borrowers))
        for n, customer_id in enumerate(borrowers):
            item = item_of(request(f"dd-{n}", begin + 8 * n * SECOND, customer_id=customer_id))
            service.publish(item._replace(value=(item.value or b"")[:-1] + b',"note":"%s"}' % (b"x" * 2000)))
        service.tell(grant("cf-north", begin + DAY, customer_id=borrowers[0]))
        service.workers.start("only")
        service.settle(borrowers[0])

        decisions = [service.decisions(f"dd-{n}")[0].status for n in range(len(borrowers))]
        assert decisions == ["routed"] * len(borrowers)
        assert service.letters() == []
        service.workers.stop()
