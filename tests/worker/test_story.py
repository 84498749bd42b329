"""The contract's story, told to a worker, comes to what its notes say.

Where the note on dd-2 contradicts section 8, the section wins: dd-1 got no outcome, so its reservation ended, and it
is exposure and no loan when dd-2 comes.
"""

import hashlib
import json

import pytest
import yaml

from tests.rotation.world import grant
from tests.worker.service import Service

RULES = ["cooldown", "max_share", "exposure_budget", "never_last"]
FIELDS = [
    *("decision_id", "drawdown_id", "customer_id", "attempt", "status", "funder_id", "decided_at", "expires_at"),
    *("reasons", "relaxed", "candidates", "excluded", "config_revision", "config_sha256", "funder_states_version"),
]
NOBODY = {funder: ["no_live_grant"] for funder in ("bank-east", "cf-north", "cf-west", "trust-south")}


def test_three_live_grants(stream: Service) -> None:
    """dd-1 is routed to one of the three funders with a grant; the fourth is excluded for the lack of one."""
    first, _ = stream.decisions("dd-1")
    assert (first.status, first.reasons, first.relaxed) == ("routed", ["ranked_first"], [])
    assert {each.funder_id for each in first.candidates} == {"bank-east", "cf-north", "cf-west"}
    assert first.funder_id == first.candidates[0].funder_id
    assert sum(each.propensity for each in first.candidates) == pytest.approx(1)
    assert first.excluded == {"trust-south": ["no_live_grant"]}
    assert (first.decided_at, first.expires_at) == ("2026-11-01T06:01:00.000Z", "2026-11-01T06:16:00.000Z")
    assert (first.decision_id, first.customer_id, first.attempt) == ("dd-1:1", "cust-0001", 1)


def test_the_same_request_again(stream: Service) -> None:
    """The second request for dd-1 republishes the first decision, byte for byte."""
    first, second = stream.values("dd-1")
    assert first == second


def test_an_unanswered_reservation_is_no_loan(stream: Service) -> None:
    """20 days later dd-1 bars nobody: its reservation ended without an outcome."""
    (second,) = stream.decisions("dd-2")
    assert (second.status, second.relaxed) == ("routed", [])
    assert {each.funder_id for each in second.candidates} == {"bank-east", "cf-north", "cf-west"}
    assert second.excluded == {"trust-south": ["no_live_grant"]}


def test_a_grant_wakes_what_is_held(stream: Service) -> None:
    """dd-3 is held for the lack of grants, and routed to cf-west at the moment of its grant."""
    held, routed = stream.decisions("dd-3")
    assert (held.decision_id, held.status, held.funder_id) == ("dd-3:1:held", "held", None)
    assert (held.reasons, held.relaxed, held.candidates, held.excluded) == (["no_live_grant"], RULES, [], NOBODY)
    assert (routed.decision_id, routed.funder_id, routed.reasons) == ("dd-3:1", "cf-west", ["only_candidate"])
    assert routed.decided_at == "2026-11-01T06:00:45.000Z"
    assert routed.expires_at == held.expires_at == "2026-11-01T06:15:30.000Z"


def test_a_rate_above_the_cap_is_usable_for_nothing(stream: Service) -> None:
    """dd-4 is held, and rejected at its very expiry when stream time passes that on its partition."""
    neighbour = stream.customer(stream.partition("cust-0003"))
    stream.tell(grant("cf-west", stream.day(), customer_id=neighbour))
    held, rejected = stream.decisions("dd-4", 2)
    excluded = NOBODY | {"cf-north": ["apr_above_cap"]}
    assert (held.status, held.reasons, held.excluded) == ("held", ["no_candidate"], excluded)
    assert (rejected.decision_id, rejected.status, rejected.reasons) == ("dd-4:1", "rejected", ["expired"])
    assert (rejected.relaxed, rejected.excluded, rejected.candidates) == (RULES, excluded, [])
    assert rejected.decided_at == rejected.expires_at == "2026-11-01T06:15:05.000Z"


def test_the_form_of_a_decision(stream: Service) -> None:
    """Compact JSON, the contract's fields in its order, keyed and partitioned by the customer."""
    document = yaml.safe_load(stream.settings.config.read_text())
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    told = [record for record in stream.said("routing-decisions") if (record.key or b"").startswith(b"cust-000")]
    assert len(told) >= 6
    for record in told:
        body = json.loads(record.value or b"")
        assert list(body) == FIELDS
        assert record.value == json.dumps(body, separators=(",", ":")).encode()
        assert record.key == body["customer_id"].encode()
        assert record.partition == stream.partition(body["customer_id"])
    first = json.loads(stream.values("dd-1")[0])
    assert (first["config_revision"], first["config_sha256"]) == (1, hashlib.sha256(canonical).hexdigest())
    assert first["funder_states_version"] == -1
