"""The published descriptions say what the code does: JSON Schemas, AsyncAPI document, golden documents."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator

from rotation.outputs import encode
from streams.asyncapi import asyncapi
from streams.codec import INPUTS
from streams.schemas import OUTPUTS, files, json_schemas
from streams.topics import TOPICS
from tests.contract.documents import BROKEN, OPTIONAL, VALID, Broken, Document, key_of, read

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SCHEMAS = json_schemas()
OUTPUT_DOCUMENTS = {topic: json.loads((HERE / "golden" / "v1" / f"{topic}.json").read_text()) for topic in OUTPUTS}


def _valid(topic: str, document: Any) -> bool:
    return Draft202012Validator(SCHEMAS[topic]).is_valid(document)


@pytest.mark.parametrize("path", files(), ids=str)
def test_committed_file(path: Path) -> None:
    """The committed file is what the types give now; `python -m streams.schemas` writes it anew."""
    assert (ROOT / path).read_text(encoding="utf-8") == files()[path]


def test_no_other_schema_is_committed() -> None:
    """No schema of a topic that is gone is left behind."""
    assert {path.stem for path in (ROOT / "docs/schemas").iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("topic", SCHEMAS)
def test_schema_is_a_schema(topic: str) -> None:
    """Each is a JSON Schema of the version that it names."""
    Draft202012Validator.check_schema(SCHEMAS[topic])
    assert SCHEMAS[topic]["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("topic", OUTPUTS)
def test_every_field_of_an_output_is_described(topic: str) -> None:
    """Readers of an output learn what each of its fields is."""
    assert all(field.get("description") for field in SCHEMAS[topic]["properties"].values())


@pytest.mark.parametrize("topic", VALID)
def test_valid_document(topic: str) -> None:
    """What the decoder takes, the schema takes: whole, with nulls, without optional fields, with unknown ones."""
    required = {field: value for field, value in VALID[topic].items() if field not in OPTIONAL[topic]}
    for document in (
        VALID[topic],
        required,
        required | dict.fromkeys(OPTIONAL[topic]),
        VALID[topic] | {"of_later": [{}]},
    ):
        assert isinstance(read(topic, msgspec.json.encode(document), key=key_of(topic)), INPUTS[topic].type)
        assert _valid(topic, document)


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_document(broken: Broken) -> None:
    """What the decoder refuses for its schema, the schema refuses."""
    assert not _valid(broken.topic, broken.document())


@pytest.mark.parametrize("topic", VALID)
def test_document_without_a_required_field(topic: str) -> None:
    """The schema requires what the decoder requires, also what a status makes required."""
    for field in VALID[topic].keys() - OPTIONAL[topic]:
        assert not _valid(topic, {name: value for name, value in VALID[topic].items() if name != field})


@pytest.mark.parametrize(
    ("topic", "changes"),
    [
        ("credit-grants", {"status": "declined", "credit_limit": None, "apr_bp": None, "expires_at": None}),
        ("drawdown-outcomes", {"status": "timed_out", "amount": None}),
    ],
)
def test_what_only_one_status_requires(topic: str, changes: Document) -> None:
    """Another status does without the fields that the first one requires, for both."""
    document = VALID[topic] | changes
    assert isinstance(read(topic, msgspec.json.encode(document)), INPUTS[topic].type)
    assert _valid(topic, document)


@pytest.mark.parametrize("topic", OUTPUTS)
def test_output_document(topic: str) -> None:
    """An output has all of its fields and no other."""
    document = OUTPUT_DOCUMENTS[topic]
    assert _valid(topic, document)
    assert not _valid(topic, document | {"other": 1})
    for field in document:
        assert not _valid(topic, {name: value for name, value in document.items() if name != field})


@pytest.mark.parametrize(
    "changes",
    [{"funder_id": None}, {"candidates": []}, {"status": "held"}, {"decided_at": "2026-11-01T06:00:00+08:00"}],
)
def test_decision_that_contradicts_itself(changes: Document) -> None:
    """Routed decisions alone name a funder and candidates; times are in UTC with milliseconds."""
    assert not _valid("routing-decisions", OUTPUT_DOCUMENTS["routing-decisions"] | changes)


@pytest.mark.parametrize("status", ["held", "rejected"])
def test_decision_without_a_funder(status: str) -> None:
    """A held or rejected decision has null for its funder, and nobody among its candidates."""
    changes: Document = {"status": status, "funder_id": None, "candidates": []}
    assert _valid("routing-decisions", OUTPUT_DOCUMENTS["routing-decisions"] | changes)


@pytest.mark.parametrize(
    "path", sorted((HERE / "golden").glob("*/*.json")), ids=lambda path: f"{path.parts[-2]}/{path.stem}"
)
def test_golden_document(path: Path) -> None:
    """A document of any past version of the contract is still read, with everything that it said."""
    topic, value = path.stem, path.read_bytes().strip()
    document = json.loads(value)
    assert _valid(topic, document)
    if topic in INPUTS:
        event = read(topic, value, key=document[INPUTS[topic].key_field].encode())
        assert isinstance(event, INPUTS[topic].type)
        assert json.loads(msgspec.json.encode(event)) == json.loads(
            msgspec.json.encode(msgspec.convert(document, INPUTS[topic].type))
        )
        assert document.keys() <= set(event.__struct_fields__)
    else:
        output = msgspec.json.decode(value, type=OUTPUTS[topic])
        assert encode(output) == value


def test_there_is_a_golden_document_of_every_type() -> None:
    """The first version has a document of every input and output."""
    assert {path.stem for path in (HERE / "golden/v1").iterdir()} == {*INPUTS, *OUTPUTS}


def test_asyncapi_document_is_valid() -> None:
    """The document satisfies AsyncAPI's own schema of version 3.0.0 (npm `@asyncapi/specs` 6.11.1, Apache-2.0)."""
    specification = json.loads(gzip.decompress((HERE / "asyncapi-3.0.0.json.gz").read_bytes()))
    document = yaml.safe_load((ROOT / "docs/asyncapi.yaml").read_text(encoding="utf-8"))
    assert [error.message for error in Draft7Validator(specification).iter_errors(document)] == []


def test_asyncapi_has_every_topic() -> None:
    """Every topic of the contract is a channel with its partitions, and can be used in its direction."""
    document = asyncapi()
    public = [topic for topic in TOPICS if topic.direction != "internal"]
    assert set(document["channels"]) == {topic.name for topic in public}
    for topic in public:
        actions = {"in": {"send"}, "out": {"receive"}, "in/out": {"send", "receive"}}[topic.direction]
        channel = f"#/channels/{topic.name}"
        operations = document["operations"].values()
        assert {each["action"] for each in operations if each["channel"]["$ref"] == channel} == actions


def test_asyncapi_references_lead_somewhere() -> None:
    """Every reference of the document is to something that is there."""
    document = asyncapi()

    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if "$ref" in part else []
            return own + [found for each in part.values() for found in references(each)]
        return [found for each in part for found in references(each)] if isinstance(part, list) else []

    for reference in references(document):
        if reference.startswith("#/"):
            target: Any = document
            for name in reference[2:].split("/"):
                target = target[name]
        else:
            assert (ROOT / "docs" / reference).is_file()
