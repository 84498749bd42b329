"""What waits to be read when a worker starts is decided in stream time's order, also where room is scarce."""

from pathlib import Path

import yaml

from rotation.clock import MINUTE
from streams.embedded import EmbeddedRedis
from tests.conftest import Broker
from tests.rotation.world import SECOND, grant, outcome, request
from tests.worker.conftest import CONFIG
from tests.worker.service import Service


def test_scarce_room_goes_to_whom_stream_time_gives_it(kafka: Broker, tmp_path: Path) -> None:
    """One drawdown a day at each funder: routed is who asks first, and who asks when the room is free again."""
    document = yaml.safe_load(CONFIG.read_text())
    for section in document["funders"]:
        section["quota"]["daily_count"] = 1
    config = tmp_path / "rotation.yaml"
    config.write_text(yaml.safe_dump(document))
    with (
        EmbeddedRedis() as redis,
        Service(kafka.settings(redis.url, tmp_path, config=config, partitions=1, clock="stream")) as service,
    ):
        service.create_topics()
        at = service.day()
        service.tell(
            grant("cf-west", at, customer_id="ann"),
            grant("cf-west", at + 1 * SECOND, customer_id="bob"),
            grant("bank-east", at + 2 * SECOND, customer_id="eve"),
            request("dd-eve", at + 3 * SECOND, customer_id="eve"),
            grant("bank-east", at + 4 * SECOND, customer_id="cho"),
            outcome("dd-eve", "bank-east", "cancelled", at + 5 * SECOND, customer_id="eve"),
            request("dd-bob", at + 10 * SECOND, customer_id="bob"),
            request("dd-ann", at + 20 * SECOND, customer_id="ann"),
            request("dd-cho", at + 1 * MINUTE, customer_id="cho"),
        )
        service.workers.start("only")
        told = {who: service.decisions(f"dd-{who}")[0] for who in ("eve", "bob", "ann", "cho")}
    assert {who: (decision.status, decision.funder_id) for who, decision in told.items()} == {
        "eve": ("routed", "bank-east"),
        "bob": ("routed", "cf-west"),
        "ann": ("held", None),
        "cho": ("routed", "bank-east"),
    }
    assert told["ann"].excluded["cf-west"] == ["quota_exhausted"]
