"""docs/publishers.md says what the code does: its fields, codes and headers, its examples, and its program."""

import asyncio
import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

from cli.main import main
from config.settings import Settings
from rotation.events import millis
from rotation.outputs import Decision, FunderState
from streams.codec import INPUTS, BadInput, Reason, decode
from streams.deadletters import dead_letter
from streams.log import LogRecord
from streams.reading import read_topics
from streams.schemas import OUTPUTS, json_schemas
from streams.topics import BORROWER_INPUTS
from tests.conftest import Broker
from tests.docs.pages import ROOT, blocks, page, rows, section
from tests.processes import Workers, loanrouter, until

PAGE = page("docs/publishers.md")
EXAMPLES = [(block.about, json.loads(block.text)) for block in blocks(PAGE, "json")]
CONFIG = ROOT / "config" / "rotation.yaml"
FUNDERS = frozenset({"bank-east", "cf-north", "cf-west", "trust-south"})
#: Pass rate of the example's funder before its first loan.
PRIOR = 0.71


def test_every_topic_of_an_input_has_its_key_and_fields() -> None:
    """In the order of the code, each optional one with its mark."""
    table = rows(section(PAGE, "What you publish"))
    documented = {topic.strip("`"): (key.strip("`"), fields) for topic, key, fields in table}
    expected = {}
    for topic, spec in INPUTS.items():
        own = [field for field in msgspec.structs.fields(spec.type) if field.name not in ("event_id", "occurred_at")]
        expected[topic] = (spec.key_field, ", ".join(f"`{f.name}`{'' if f.required else '?'}" for f in own))
    assert documented == expected


@pytest.mark.parametrize("topic", INPUTS)
def test_every_value_of_an_enumeration_is_named(topic: str) -> None:
    """Statuses and kinds, as code, in the section about input."""
    text = section(PAGE, "What you publish")
    for field in msgspec.structs.fields(INPUTS[topic].type):
        if field.name in ("status", "kind"):
            assert {value for value in get_args(field.type) if f"`{value}`" not in text} == set()


def test_every_field_of_a_decision_is_described() -> None:
    """In the order of the record."""
    described = [name.strip("`") for name, _ in rows(section(PAGE, "What you read"))]
    assert described == [field.name for field in msgspec.structs.fields(Decision)]


def test_reasons_and_headers_of_dead_letters_are_described() -> None:
    """Reasons in the order in which they apply, headers as they are set."""
    first = [row[0].strip("`") for row in rows(section(PAGE, "Dead letters"))]
    letter = dead_letter(Settings(), LogRecord("repayments", 0, 0, 0, b"k", b"{"), "not_json", "")
    assert first == [name for name, _ in letter.headers] + list(get_args(Reason))


def test_examples_are_of_every_topic() -> None:
    """Every input, the decision and the advice."""
    assert {topic for topic, _ in EXAMPLES} == {*INPUTS, "routing-decisions", "credit-applications"}


@pytest.mark.parametrize(("topic", "document"), EXAMPLES)
def test_examples_are_what_the_code_reads_and_writes(topic: str, document: dict[str, Any]) -> None:
    """Inputs are accepted without an unknown field, outputs are of their type, and the schema takes all of them."""
    jsonschema.validate(document, json_schemas()[topic], format_checker=jsonschema.FormatChecker())
    value = json.dumps(document).encode()
    if topic in OUTPUTS:
        read = msgspec.json.decode(value, type=OUTPUTS[topic])
        assert msgspec.to_builtins(read) == document
        assert list(msgspec.to_builtins(read)) == list(document)
        return
    unknown: dict[str, int] = {}
    key = document[INPUTS[topic].key_field].encode()
    read = decode(topic, key, value, 0, known_funders=FUNDERS, latest=None, unknown_fields=unknown)
    assert not isinstance(read, BadInput), read
    assert unknown == {}


def test_the_decision_shown_is_that_of_the_events_shown(tmp_path: Path) -> None:
    """The examples' grants and request make the example's decision, by the configuration of this repository."""
    log = tmp_path / "log.jsonl"
    lines = [
        {"topic": topic, "key": event["customer_id"], "timestamp": _millis(event["occurred_at"]), "value": event}
        for topic, event in EXAMPLES
        if topic in BORROWER_INPUTS
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = CliRunner().invoke(main, ["replay", str(log), "--config", str(CONFIG)])
    assert result.exit_code == 0, result.output
    decisions = [json.loads(line) for line in result.stdout.splitlines()]
    assert decisions[0] == next(document for topic, document in EXAMPLES if topic == "routing-decisions")
    # The outcome shown is a no, and the repayment is of the next attempt's funder.
    assert [(d["decision_id"], d["funder_id"]) for d in decisions[1:]] == [("dd-1:2", "cf-west")]


def _pass_rate(settings: Settings) -> float:
    """What the worker tells of the example's funder and grade; the prior before it tells anything."""

    async def read() -> list[FunderState]:
        return [
            msgspec.json.decode(record.value or b"", type=FunderState)
            async for record in read_topics(settings, ["funder-states"])
        ]

    return next((s.pass_rates["A"] for s in reversed(asyncio.run(read())) if s.funder_id == "cf-west"), PRIOR)


def _millis(text: str) -> int:
    return millis(datetime.fromisoformat(text))


def test_the_program_gets_its_decision(embedded_kafka: Any, redis_url: str, tmp_path: Path) -> None:
    """Run as it stands against a worker: the drawdown is routed, and the worker takes the outcome for a loan."""
    broker = Broker(embedded_kafka.bootstrap, idempotence=False)
    settings = broker.settings(redis_url, tmp_path / "data", config=CONFIG)
    program = tmp_path / "example.py"
    (block,) = blocks(PAGE, "python")
    program.write_text(block.text)
    with Workers(settings) as workers:
        assert loanrouter("topics", "create", **settings.environment()).returncode == 0
        workers.start("only")
        workers.wait_ready("only")
        done = subprocess.run(
            [sys.executable, "-W", "error", str(program)],
            env=os.environ | settings.environment(),
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"(held None \w+\n)?routed cf-west only_candidate\n", done.stdout)
        until(lambda: workers.metric("only", 'loanrouter_decisions_total{status="routed"}') == 1)
        until(lambda: _pass_rate(settings) > PRIOR, 60)
        letters = loanrouter("dead-letters", "list", "--json", **settings.environment())
        assert json.loads(letters.stdout)["dead_letters"] == []
        workers.stop()
