"""docs/configuration.md is true: its pieces are of the shipped file, its tables what the core does, its lists whole.

And its program makes a revision active in a worker that runs.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from capture.pass_rates import pass_rates
from capture.record import FunderRecord, HourCount
from config.load import load_document, load_file
from config.reference import filled, keys_markdown, refused_markdown
from rotation.book import MemoryBook
from rotation.clock import DAY
from rotation.outputs import FunderState
from rotation.reservations import Reserve
from rotation.rules import ROTATION_RULES
from streams.embedded import EmbeddedKafka
from tests.conftest import Broker
from tests.docs.pages import ROOT, blocks, page, rows, section
from tests.processes import Workers, loanrouter, until
from tests.rotation.world import (
    ALWAYS_OPEN,
    FUNDERS,
    NO_ROTATION,
    T0,
    World,
    funder_state,
    grant,
    outcome,
    policy,
    request,
)

PAGE = page("docs/configuration.md")
SHIPPED = ROOT / "config" / "rotation.yaml"
DOCUMENT = load_file(SHIPPED)
PIECES = [yaml.safe_load(block.text) for block in blocks(PAGE, "yaml")]


def _codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _ledger(cell: str) -> list[tuple[str, int]]:
    """Funders and how many days ago: "`bank-east` 40, `cf-north` 30"."""
    return [(funder_id, int(days)) for funder_id, days in re.findall(r"`([\w-]+)` (\d+)", cell)]


def _drawn(ledger: list[tuple[str, int]], grants: list[str]) -> World:
    """A borrower with these grants and loans, and the shipped rules from now on."""
    world = World(NO_ROTATION | ALWAYS_OPEN)
    begun = T0 - 200 * DAY
    for funder_id in {funder_id for funder_id, _ in ledger} | set(grants):
        world.handle(grant(funder_id, begun))
    for number, (funder_id, days) in enumerate(ledger):
        at = T0 - days * DAY
        others = [other for other in FUNDERS if other != funder_id]
        assert world.route(request(f"before-{number}", at, exclude_funders=others)).funder_id == funder_id
        world.handle(outcome(f"before-{number}", funder_id, "disbursed", at + 1000))
    world.policy = policy(ALWAYS_OPEN)
    return world


def test_pieces_are_of_the_shipped_file_and_load() -> None:
    """Each section of the file is shown as it is there, and none is left out."""
    funders = {funder["id"]: funder for funder in DOCUMENT["funders"]}
    shown: dict[str, Any] = {}
    for piece in PIECES:
        shown |= piece
    examples = {"examples": shown.pop("examples")}
    assert load_document(yaml.safe_dump(DOCUMENT | examples), "with examples") == DOCUMENT | examples
    for funder in shown.pop("funders"):
        assert funder == funders[funder["id"]]
    assert {"schema": DOCUMENT["schema"], "funders": DOCUMENT["funders"], **shown} == DOCUMENT
    text = yaml.safe_dump({"schema": 1, "funders": DOCUMENT["funders"], **shown}, sort_keys=False)
    assert load_document(text, "docs/configuration.md") == DOCUMENT


@pytest.mark.parametrize("row", rows(section(PAGE, "`rotation`: not always the same funder"))[:4])
def test_a_rule_by_itself_bars_whom_the_page_says(row: list[str]) -> None:
    """The ledger is a borrower's, routed by the core; the rule is the core's, with the shipped numbers."""
    ledger, name, barred = row
    world = _drawn(_ledger(ledger), [])
    alone = {f"rotation.{rule.code}": None for rule in ROTATION_RULES if rule.code != _codes(name)[0]}
    world.policy = policy({**alone, **ALWAYS_OPEN, "rotation.relax_order": []})
    world.grant_all()
    decision = world.route(request("now"))
    assert [id_ for id_, codes in decision.excluded.items() if codes == _codes(name)] == _codes(barred)
    assert set(decision.excluded) == set(_codes(barred))


@pytest.mark.parametrize("row", rows(section(PAGE, "`rotation`: not always the same funder"))[4:])
def test_rules_are_given_up_as_the_page_says(row: list[str]) -> None:
    """By a decision under the shipped rules."""
    grants, ledger, chosen, given_up = row
    world = _drawn(_ledger(ledger), _codes(grants))
    decision = world.route(request("now"))
    assert [decision.funder_id] == _codes(chosen)
    assert decision.relaxed == _codes(given_up)


def test_the_tables_of_rules_are_read() -> None:
    """Four lines of rules by themselves and three of giving up."""
    table = rows(section(PAGE, "`rotation`: not always the same funder"))
    assert [len(row) for row in table] == [3] * 4 + [4] * 3


def _percent(part: float) -> str:
    return f"{part:.1%}"


def test_parts_are_those_of_the_core() -> None:
    """Weights, prior rates and parts of all; divided in proportion when one funder is out."""
    weights = policy().weights("A")
    left = 1 - weights["trust-south"]
    expected = [
        [
            f"`{funder['id']}`",
            str(funder["weight"]),
            str(funder["pass_rate_prior"]["rate"]),
            _percent(weights[funder["id"]]),
            "–" if funder["id"] == "trust-south" else _percent(weights[funder["id"]] / left),
        ]
        for funder in DOCUMENT["funders"]
    ]
    assert rows(section(PAGE, "`selection`: who of those left")) == expected


def test_the_pass_rate_worked_out_is_that_of_the_core() -> None:
    """20 loans of 40 answers against a prior, and what that makes of the funder's part."""
    bank = policy().config.funders[0]
    record = FunderRecord(hours={"A": [HourCount(T0 // 3_600_000, disbursed=20, missed=20)]})
    rate = pass_rates(record, bank, 30, T0)["A"]
    states: dict[str, FunderState] = {"bank-east": funder_state("bank-east", A=rate)}
    before, after = policy().weights("A")["bank-east"], policy(states=states).weights("A")["bank-east"]
    said = f"= {rate:.3f}, and its part above from {_percent(before)} to {_percent(after)}"
    assert said in " ".join(PAGE.split())


def test_the_guarantee_worked_out_is_that_of_the_book() -> None:
    """20,000,000 yuan have room, one fen more has not."""
    limits = policy().limits["cf-north"]
    room = 20_000_000 * 100
    assert f"{room // 100:,} yuan lent or reserved" in " ".join(PAGE.split())
    for amount, funder_id in ((room, "cf-north"), (room + 1, None)):
        book = MemoryBook({"cf-north": msgspec.structs.replace(limits, daily_amount=2 * room)})
        (answer,) = book.apply([Reserve("c/d:1", ("cf-north",), amount, T0, "20261101", T0 + 1)])
        assert answer is not None
        assert answer.funder_id == funder_id


def test_generated_parts_are_up_to_date() -> None:
    """Every key and every contradiction, as the code has them; `./dev docs` writes them anew."""
    assert filled(PAGE) == PAGE
    assert "`funders[].guarantee.enhanced` | true or false |" in keys_markdown()
    assert "- Two funders with one id.\n" in refused_markdown()


def test_every_key_of_the_shipped_file_is_in_the_table() -> None:
    """Down to the last one."""
    named = set(re.findall(r"^\| `([^`]+)` ", keys_markdown(), re.MULTILINE))

    def keys(value: Any, before: str) -> set[str]:
        if isinstance(value, dict):
            return {key for name, inner in value.items() for key in keys(inner, f"{before}.{name}" if before else name)}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return {key for inner in value for key in keys(inner, f"{before}[]")}
        return {before}

    assert keys(DOCUMENT, "") <= named


def test_the_program_makes_a_revision_active(embedded_kafka: EmbeddedKafka, redis_url: str, tmp_path: Path) -> None:
    """A worker that runs applies it, and `config show` tells by whom and why; the same number again is refused."""
    broker = Broker(embedded_kafka.bootstrap, idempotence=False)
    settings = broker.settings(redis_url, tmp_path / "data", config=SHIPPED)
    environment = settings.environment()
    program, file = tmp_path / "publish.py", tmp_path / "rotation.yaml"
    (block,) = blocks(PAGE, "python")
    program.write_text(block.text)
    file.write_text(SHIPPED.read_text().replace("attempts: {max: 2}", "attempts: {max: 3}"))

    def publish() -> None:
        command = [sys.executable, "-W", "error", str(program), str(file), "2", "Li Na", "three tries"]
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    with Workers(settings) as workers:
        assert loanrouter("topics", "create", **environment).returncode == 0
        workers.start("only")
        workers.wait_ready("only")
        assert workers.metric("only", "loanrouter_config_revision") == 1
        publish()
        until(lambda: workers.metric("only", "loanrouter_config_revision") == 2)
        file.write_text(SHIPPED.read_text().replace("attempts: {max: 2}", "attempts: {max: 4}"))
        publish()
        until(lambda: workers.metric("only", "loanrouter_config_records_refused_total") == 1)
        shown = loanrouter("config", "show", "--json", **environment)
        about = msgspec.json.decode(shown.stdout)
        assert (about["revision"], about["author"], about["reason"]) == (2, "Li Na", "three tries")
        assert about["config"]["attempts"] == {"max": 3}
        assert about["refused_records"] == 1
        workers.stop()
