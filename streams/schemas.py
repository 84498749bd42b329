"""JSON Schemas (2020-12) of every topic, made from the types that the code itself reads and writes.

`python -m streams.schemas` writes them to docs/schemas, and docs/asyncapi.yaml beside them. A schema cannot say all
that the decoder checks: a whole number may not be written 5000.0, and times end with the year 9998.
"""

import json
from pathlib import Path
from typing import Any, Literal

import msgspec

from rotation.outputs import CaptureAlert, CaptureEvidence, CreditApplication, Decision, FunderState
from streams.codec import INPUTS

DOCS = Path("docs")

Schema = dict[str, Any]


OUTPUTS: dict[str, type[msgspec.Struct]] = {
    "routing-decisions": Decision,
    "credit-applications": CreditApplication,
    "funder-states": FunderState,
    "capture-alerts": CaptureAlert,
}
"""The type of every output topic that carries JSON."""

_ID = {"pattern": r"^[A-Za-z0-9._:-]{1,64}$"}
_TIME = {"format": "date-time", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"}

# Many validators take `format` for a note, so the zone is asked for by a pattern as well.
_ZONED = {
    "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
}

_INPUT_FIELDS: dict[str, Schema] = {
    "event_id": {"description": "Id of this event. A repeat of it changes nothing."},
    "occurred_at": {"description": "When it happened at the publisher: RFC 3339 with zone.", **_ZONED},
    "customer_id": {"description": "The borrower. On borrower topics also the record key."},
    "funder_id": {"description": "The funder, as in the configuration. On `capture-signals` also the record key."},
    "drawdown_id": {"description": "The drawdown. One id stands for one content for ever."},
    "amount": {"description": "Fen."},
    "credit_limit": {"description": "Fen. Required when approved."},
    "apr_bp": {"description": "All-in annual rate in basis points. Required when approved."},
    "expires_at": {
        "description": "RFC 3339 with zone. Of a grant: required when approved. Of a request: when it is "
        "rejected if nobody can serve it, by default `occurred_at` and the configured holding time.",
        **_ZONED,
    },
    "region": {"description": "Six-digit GB/T 2260 province code, such as 310000."},
    "risk_grade": {"description": "From A, the best, to E."},
    "exclude_funders": {"description": "Funders that this drawdown must not go to. Unknown ids are ignored."},
    "canary": {"description": "Whether a consenting staff account draws, to see who calls it."},
    "attempt": {"description": "The attempt that the decision named, from 1."},
    "reason": {"description": "The funder's own words or code."},
    "principal": {"description": "Fen repaid by this event."},
    "outstanding": {"description": "Fen still owed after this event."},
}

_OUTPUT_FIELDS: dict[str, Schema] = {
    "decision_id": {
        "description": "`drawdown_id:attempt`; of a hold `drawdown_id:attempt:held`. Deduplicate by it.",
        "pattern": r"^[A-Za-z0-9._:-]{1,64}:[1-9][0-9]*(:held)?$",
    },
    "drawdown_id": {"description": "The drawdown of the request.", **_ID},
    "customer_id": {"description": "The borrower; also the record key.", **_ID},
    "attempt": {"description": "From 1; one more after each declined, timed-out or failed one.", "minimum": 1},
    "status": {
        "description": "`routed`: take it to `funder_id`. `held`: nobody can serve it yet, another decision follows. "
        "`rejected`: nobody could in time. A routed or rejected decision is the last of its attempt."
    },
    "funder_id": {"description": "The funder. In a decision null unless routed."},
    "decided_at": {"description": "Stream time of the decision, UTC.", **_TIME},
    "expires_at": {"description": "When the drawdown expires, UTC.", **_TIME},
    "reasons": {"description": "Codes that say why this status."},
    "relaxed": {"description": "Names of the rotation rules that were given up, in order."},
    "candidates": {"description": "Funders that passed every rule, best first; the first is the one chosen."},
    "excluded": {"description": "For each funder that was dropped, every reason code that applies."},
    "config_revision": {"description": "Id of the configuration revision that decided.", "minimum": 1},
    "config_sha256": {"description": "SHA-256 of that revision's canonical JSON.", "pattern": "^[0-9a-f]{64}$"},
    "funder_states_version": {
        "description": "Offset of the last `funder-states` record taken into account; -1: none.",
        "minimum": -1,
    },
    "propensity": {
        "description": "Probability of being first in rank, before reservations.",
        "minimum": 0,
        "maximum": 1,
    },
    "application_id": {"description": "Id of this advice: deduplicate by it."},
    "pass_rates": {"description": "Risk grade to smoothed pass rate."},
    "capture_risk": {
        "description": "Risk grade to the share of borrowers that the funder is expected to capture at a drawdown. "
        "Left out unless the rotation rule `capture_risk` is on."
    },
    "price": {
        "description": "What its room is worth, taken off the logarithm of its weight. Left out while it is 0, and "
        "unless `selection.pacing` is on.",
        "minimum": 0,
    },
    "silent": {"description": "Detectors that have too few events to alarm; left out when there are none."},
    "events": {"description": "What was counted.", "minimum": 0},
    "needed": {"description": "With fewer events than that the detector is silent.", "minimum": 1},
    "state": {"description": "Step of the response ladder."},
    "traffic_multiplier": {"description": "Share of its weight that the funder keeps.", "minimum": 0, "maximum": 1},
    "since": {"description": "When it began, UTC.", **_TIME},
    "cause": {"description": "Why the funder stands there, for a person."},
    "version": {"description": "Grows with every change of this funder's state."},
    "occurred_at": {"description": "Stream time, UTC.", **_TIME},
    "reason": {"description": "Why: too few live grants, or a drawdown that no grant could serve."},
    "alert_id": {"description": "Id of this alert: deduplicate by it."},
    "segment": {"description": "The borrowers among whom it was seen."},
    "detector": {"description": "The detector that saw it."},
    "level": {"description": "How grave it is."},
    "evidence": {"description": "What the detector saw."},
    "state_before": {"description": "Step of the response ladder before this alert."},
    "state_after": {"description": "Step of the response ladder after it."},
}

_ROUTED = {
    "if": {"properties": {"status": {"const": "routed"}}},
    "then": {"properties": {"funder_id": {"type": "string", **_ID}, "candidates": {"minItems": 1}}},
    "else": {"properties": {"funder_id": {"type": "null"}, "candidates": {"maxItems": 0}}},
}


def json_schemas() -> dict[str, Schema]:
    """The schema of each JSON topic by contract name."""
    inputs = {topic: _schema(spec.type, _INPUT_FIELDS, "in") for topic, spec in INPUTS.items()}
    outputs = {topic: _schema(output, _OUTPUT_FIELDS, "out") for topic, output in OUTPUTS.items()}
    outputs["routing-decisions"] |= _ROUTED
    return inputs | outputs


def _schema(record: type[msgspec.Struct], fields: dict[str, Schema], direction: Literal["in", "out"]) -> Schema:
    _, components = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    for name, component in components.items():
        properties = component["properties"]
        for field in properties.keys() & fields.keys():
            properties[field] |= fields[field]
        if direction == "out" and name != CaptureEvidence.__name__:
            component["additionalProperties"] = False
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **components.pop(record.__name__)}
    if (required := getattr(record, "required_when", None)) is not None:
        schema |= {
            "if": {"properties": {"status": {"const": required.status}}, "required": ["status"]},
            "then": {
                "properties": {field: {"not": {"type": "null"}} for field in required.fields},
                "required": list(required.fields),
            },
        }
    if components:
        schema["$defs"] = components
    return _ecma_patterns(schema)


def _ecma_patterns(schema: Schema) -> Schema:
    r"""The schema with `$` for Python's `\Z`: JSON Schema takes patterns to be ECMAScript's, whose `$` means that."""
    text = json.dumps(schema, ensure_ascii=False)
    patched: Schema = json.loads(text.replace(json.dumps(r"\Z")[1:-1], "$"))
    return patched


def files() -> dict[Path, str]:
    """What the generated files have to hold, by path from the repository's root."""
    from streams.asyncapi import asyncapi_yaml  # it refers to the schemas of this module

    schemas = {
        DOCS / "schemas" / f"{topic}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for topic, schema in json_schemas().items()
    }
    return {**schemas, DOCS / "asyncapi.yaml": asyncapi_yaml()}


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
