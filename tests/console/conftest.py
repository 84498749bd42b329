"""One console for the tests of this folder, beside two workers on the embedded broker."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest
import yaml

from streams.embedded import EmbeddedKafka, EmbeddedRedis
from tests.conftest import Broker
from tests.console.chromium import Chromium
from tests.console.served import ROLES, Console
from tests.whatif.traffic import written
from tests.worker.conftest import CONFIG, PAIR
from tests.worker.service import Service


class Office(NamedTuple):
    """A console with its people, and the service that it shows."""

    console: Console
    service: Service


@pytest.fixture(scope="package")
def office(embedded_kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Two workers on the wall clock, funders open day and night, and a console with a user of each role."""
    data = tmp_path_factory.mktemp("office")
    document = yaml.safe_load(CONFIG.read_text())
    for section in document["funders"]:
        section["open"] = "00:00-24:00"
    config = data / "rotation.yaml"
    config.write_text(yaml.safe_dump(document, sort_keys=False))
    broker = Broker(embedded_kafka.bootstrap, idempotence=False)
    with EmbeddedRedis() as redis, Service(broker.settings(redis.url, data, config=config)) as service:
        service.create_topics()
        for name in PAIR:
            service.workers.start(name)
        # 400 drawdowns of another day, for what-ifs.
        recorded = written(data / "recorded", 400, partitions=1, days=5)
        with Console(replace(service.settings, console_recorded=recorded)) as console:
            for name, roles in ROLES.items():
                console.invite(name, *roles)
            service.workers.wait_ready(*PAIR)
            yield Office(console, service)


@pytest.fixture
def console(office: Office) -> Console:
    """The console."""
    return office.console


@pytest.fixture(scope="package")
def chromium(office: Office) -> Iterator[Chromium]:
    """A browser at the console, on a light screen of 1200 × 900."""
    with Chromium(office.console.address) as browser:
        yield browser
