"""Bad input never stops a partition and never changes state: it comes out once, whole, with the reason."""

import pytest

from rotation.events import BorrowerEvent
from tests.rotation.world import grant, outcome, repayment, request
from tests.worker.conftest import Opening, examples
from tests.worker.letters import refuse, the_letter
from tests.worker.service import TRACE, Item, Service, item_of


@pytest.mark.parametrize("number", range(len(examples("bad.jsonl"))))
def test_the_contract_s_bad_examples(opening: Opening, number: int) -> None:
    """Each comes out once, with its bytes, key and headers, and all dlq headers."""
    the_letter(opening.service, opening.bad[number])


def test_bad_records_change_nothing(stream: Service) -> None:
    """After all of them the drawdown that they spoke of is new: it is decided on its merits."""
    at = stream.day()
    stream.tell(grant("cf-west", at, customer_id="cust-b"))
    stream.settle("cust-b")
    stream.tell(request("dd-b", at + 1, customer_id="cust-b"))
    (decision,) = stream.decisions("dd-b")
    assert (decision.status, decision.funder_id) == ("routed", "cf-west")


def test_good_records_behind_poison(stream: Service) -> None:
    """Poison before each record of a borrower, in every topic, holds none of them up."""
    customer_id, at = stream.customer(), stream.day()
    key = customer_id.encode()
    poison = [b"{", b"\x00\xff", b"null", b"[" * 5000, b'{"customer_id":"%s"}' % key]

    def behind_poison(*items: Item) -> None:
        stream.publish(*(Item(items[0].topic, value, key, items[0].at) for value in poison), *items)
        stream.settle(customer_id)

    behind_poison(*(item_of(grant(funder, at, customer_id=customer_id)) for funder in ("cf-west", "cf-north")))
    behind_poison(item_of(request("dd-poison", at + 1, customer_id=customer_id)))
    (first,) = stream.decisions("dd-poison")
    assert first.funder_id is not None
    behind_poison(item_of(outcome("dd-poison", first.funder_id, "declined", at + 2, customer_id=customer_id)))
    (_, second) = stream.decisions("dd-poison", 2)
    assert second.funder_id is not None
    assert {first.funder_id, second.funder_id} == {"cf-west", "cf-north"}
    behind_poison(
        item_of(outcome("dd-poison", second.funder_id, "disbursed", at + 3, attempt=2, customer_id=customer_id))
    )
    behind_poison(item_of(repayment("dd-poison", second.funder_id, 0, at + 4, customer_id=customer_id)))
    letters = [letter for letter in stream.letters() if letter.record.value in poison and letter.record.key == key]
    assert len(letters) == 5 * len(poison)


def test_what_only_history_shows_bad(stream: Service) -> None:
    """Answers of whom the drawdown was never routed to, and second answers, are refused, and change nothing."""
    customer_id, at = stream.customer(), stream.day()
    for funder in ("cf-west", "cf-north"):
        stream.tell(grant(funder, at, customer_id=customer_id))
    stream.settle(customer_id)
    stream.tell(request("dd-history", at + 1, customer_id=customer_id))
    (first,) = stream.decisions("dd-history")
    taker = first.funder_id
    assert taker is not None
    other = {"cf-west": "cf-north", "cf-north": "cf-west"}[taker]
    bad: list[tuple[BorrowerEvent, str]] = [
        (outcome("dd-history", other, "declined", at + 2, customer_id=customer_id), "unknown_drawdown"),
        (outcome("dd-history", taker, "declined", at + 2, attempt=2, customer_id=customer_id), "unknown_drawdown"),
        (repayment("dd-history", other, 0, at + 2, customer_id=customer_id), "unknown_drawdown"),
        (request("dd-history", at + 2, amount=600_001, customer_id=customer_id), "conflicting_duplicate"),
    ]
    refused = [refuse(stream, item_of(event, (*TRACE, ("x", None))), reason) for event, reason in bad]
    stream.tell(outcome("dd-history", taker, "cancelled", at + 3, customer_id=customer_id))
    refused.append(
        refuse(
            stream,
            item_of(outcome("dd-history", taker, "disbursed", at + 4, customer_id=customer_id), TRACE),
            "conflicting_duplicate",
        )
    )
    stream.tell(outcome("dd-history", taker, "cancelled", at + 5, customer_id=customer_id, event_id="again"))
    stream.tell(request("dd-history", at + 6, customer_id=customer_id))
    stream.settle(customer_id)
    for each in refused:
        the_letter(stream, each)
    assert len(stream.letters_of(customer_id)) == len(refused)
    assert len(set(stream.values("dd-history"))) == 1
    assert len(stream.values("dd-history")) == 2


def test_size(stream: Service) -> None:
    """A value of exactly 64 KiB is read, one of a byte more is refused."""
    customer_id, at = stream.customer(), stream.day()
    fitting = item_of(request("dd-large", at, customer_id=customer_id))
    padding = b" " * (64 * 1024 - len(fitting.value or b""))
    refused = refuse(stream, fitting._replace(value=(fitting.value or b"") + padding + b" "), "too_large")
    stream.publish(fitting._replace(value=(fitting.value or b"") + padding))
    the_letter(stream, refused)
    assert stream.decisions("dd-large")[0].status == "held"


def test_as_large_as_a_broker_takes(stream: Service) -> None:
    """Records and keys of nearly 1 MiB, several at once, come out whole, and what is behind them is decided."""
    customer_id, at = stream.customer(), stream.day()
    key, most = customer_id.encode(), 1_040_000
    items = [Item("drawdown-requests", bytes([65 + number]) * most, key, at) for number in range(3)]
    items.append(Item("drawdown-requests", b"{}", b"k" * most, at))
    refused = [refuse(stream, item, "too_large") for item in items]
    stream.tell(request("dd-behind-large", at, customer_id=customer_id))
    for each in refused:
        the_letter(stream, each)
    assert stream.decisions("dd-behind-large")[0].status == "held"


@pytest.mark.parametrize(
    ("value", "key", "reason"),
    [
        (b"{", b"cf-west", "not_json"),
        (b"{}", b"cf-west", "schema"),
        (None, b"cf-west", "schema"),
        ("cf-west", b"cf-north", "key_mismatch"),
        ("nobody", b"nobody", "unknown_funder"),
    ],
)
def test_bad_signals(stream: Service, value: bytes | str | None, key: bytes, reason: str) -> None:
    """`capture-signals`, which funders' records come by, refuses in the same way."""
    if isinstance(value, str):
        text = '{"event_id":"s1","occurred_at":"2026-11-01T06:00:00Z","kind":"bureau_inquiry","funder_id":"%s"}'
        value = (text % value).encode()
    the_letter(stream, refuse(stream, Item("capture-signals", value, key, stream.day(), TRACE), reason))
