"""What a worker serves, and to whom: health and metrics, on loopback, and nothing of any borrower."""

import json

from tests.processes import listening_addresses
from tests.rotation.world import request
from tests.worker.service import Service, item_of

#: Where the stream library serves its tables, their routes, its statistics and its metrics.
LIBRARY = (
    *("/table/", "/table/borrowers/", "/table/borrowers/{key}/", "/router/", "/router/borrowers/{key}/"),
    *("/stats/", "/graph/", "/performance/", "/assignment/", "/docs/tasks"),
)


def test_health(stream: Service) -> None:
    """A worker at work is alive and ready, in the forms that probes read."""
    assert stream.workers.page("only", "/livez").status == 200
    status, text = stream.workers.page("only", "/readyz")
    assert (status, json.loads(text)) == (200, {"ready": True, "reasons": []})


def test_metrics_count_what_happens(stream: Service) -> None:
    """Decisions, repeats, dead letters and ignored fields are counted, and no customer is in any line."""
    samples = (
        'loanrouter_decisions_total{status="rejected",reason="request_expired"}',
        "loanrouter_repeated_requests_total",
        'loanrouter_dead_letters_total{reason="key_mismatch"}',
        'loanrouter_unknown_fields_total{topic="drawdown-requests"}',
        "loanrouter_unknown_exclusions_total",
    )
    # what others left held on this partition expires before the count begins
    expired = stream.day()
    stream.tell(request("dd-before", expired, expires=expired, customer_id=stream.customer(0)))
    stream.settle_all()  # a batch is counted when it is written: later than its outputs can be read
    before = [stream.workers.metric("only", sample) for sample in samples]
    customer_id, at = stream.customer(0), stream.day()
    event = request("dd-counted", at, expires=at, customer_id=customer_id, exclude_funders=["nobody", "cf-west"])
    item = item_of(event)
    ahead = (item.value or b"")[:-1] + b',"channel":"app","device":{"os":1}}'
    stream.publish(item._replace(value=ahead), item, item._replace(key=b"someone-else"))
    stream.settle_all()
    after = [stream.workers.metric("only", sample) for sample in samples]
    assert [later - earlier for earlier, later in zip(before, after, strict=True)] == [1, 1, 1, 2, 2]
    assert customer_id not in stream.workers.page("only", "/metrics").text


def test_nobody_else_can_ask(stream: Service) -> None:
    """The web address is bound to loopback only."""
    assert listening_addresses(stream.workers.pid("only")) == {"0100007F"}


def test_no_borrower_is_served(stream: Service) -> None:
    """Nothing that the stream library would serve of its tables is there."""
    pages = [stream.workers.page("only", path.format(key="cust-0001")) for path in LIBRARY]
    assert [(path, page) for path, page in zip(LIBRARY, pages, strict=True) if page.status != 404] == []
    assert not any("cust-0001" in page.text for page in pages)
