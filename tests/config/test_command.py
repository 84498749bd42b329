"""`loanrouter config check` tells a risk officer what is wrong with a file; `config show` what is active.

Exit codes: 0 for a good file, 2 for a broken one. What `show` prints is a file of the very revision it shows.
"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner, Result

from cli.main import main
from config.load import load_document
from config.revisions import encode_record, first_revision
from config.rotation import Revision
from config.settings import Settings
from streams.embedded import free_port
from streams.topics import create_topics, topic_name
from tests.config.shipped import DOCUMENT, PATH, changed, edited
from tests.config.test_examples import NOT_TWICE

AT = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)


def config(*arguments: object, **env: str) -> Result:
    """Run `loanrouter config`."""
    return CliRunner().invoke(main, ["config", *map(str, arguments)], env=env)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file with two problems."""
    path = tmp_path / "rotation.yaml"
    path.write_text(edited(("weight: 3", "weight: 0"), ("calm_days: 14", "calm_day: 14")))
    return path


def test_check_of_a_good_file_ends_with_0_and_its_hash() -> None:
    """The hash is the one that decisions will carry."""
    done = config("check", PATH)

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{PATH}: good, 4 funders, config_sha256 {first_revision(DOCUMENT).sha256}\n"


def test_check_says_how_many_examples_hold(tmp_path: Path) -> None:
    """So that a risk officer sees that they were tried."""
    path = tmp_path / "rotation.yaml"
    path.write_text(PATH.read_text() + NOT_TWICE)

    assert ": good, 4 funders, 1 examples hold, config_sha256 " in config("check", path).stdout


def test_check_of_a_broken_file_ends_with_2_and_names_file_line_key_and_reason(broken: Path) -> None:
    """Each problem is a line of its own, and nothing is printed where a good file's hash would be."""
    done = config("check", broken)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"{broken}:20: funders[0].weight: must be a number above 0 and at most 1000000, but is 0",
        f"{broken}:78: capture.ladder.calm_days: is missing; it must be a whole number from 1 to 3650",
        f"{broken}:80: capture.ladder.calm_day: unknown key; did you mean calm_days?",
    ]


def test_check_as_json_of_a_good_file() -> None:
    """No problems, and the hash."""
    done = config("check", "--json", PATH)

    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"problems": [], "config_sha256": first_revision(DOCUMENT).sha256}


def test_check_as_json_of_a_broken_file(broken: Path) -> None:
    """The same problems in fields, no hash, and exit code 2 as well."""
    done = config("check", "--json", broken)

    assert (done.exit_code, done.stderr) == (2, "")
    told = json.loads(done.stdout)
    assert told["config_sha256"] is None
    assert told["problems"][0] == {
        "source": str(broken),
        "line": 20,
        "key": "funders[0].weight",
        "reason": "must be a number above 0 and at most 1000000, but is 0",
    }
    assert [problem["line"] for problem in told["problems"]] == [20, 78, 80]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_check_of_a_file_that_is_not_there_ends_with_2(options: tuple[str, ...], tmp_path: Path) -> None:
    """The path is told."""
    done = config("check", *options, tmp_path / "none.yaml")

    assert done.exit_code == 2
    assert f"{tmp_path / 'none.yaml'}" in done.output
    assert "No such file" in done.output


@pytest.mark.parametrize("arguments", [("check",), ("check", PATH, PATH), ("check", "--yaml", PATH), ("shw",)], ids=str)
def test_wrong_use_ends_with_2(arguments: tuple[object, ...]) -> None:
    """A command that cannot be meant does nothing."""
    done = config(*arguments)

    assert (done.exit_code, done.stdout) == (2, "")


class Log:
    """The topic rotation-config of a broker, and the environment of a command that reads it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def create(self) -> None:
        """Create the topics."""
        asyncio.run(create_topics(self._settings))

    def publish(self, *records: bytes) -> None:
        """Append records."""
        asyncio.run(self._publish(records))

    async def _publish(self, records: tuple[bytes, ...]) -> None:
        async with AIOKafkaProducer(**self._settings.kafka_client_args()) as producer:
            for record in records:
                await producer.send_and_wait(topic_name(self._settings, "rotation-config"), record, key=b"config")

    def show(self, *options: str, file: Path = PATH) -> Result:
        """`config show`."""
        return config("show", *options, **self._settings.environment() | {"LOANROUTER_CONFIG": str(file)})


@pytest.fixture
def log(settings: Settings) -> Log:
    """A log of its own on each broker; its topics do not exist yet."""
    return Log(settings)


def revision_record(number: int, document: dict[str, Any], author: str, reason: str) -> tuple[Revision, bytes]:
    """The next revision and its record."""
    first = first_revision(document)
    revision = Revision(number, first.sha256, first.config, first.canonical)
    return revision, encode_record(revision, author=author, reason=reason, occurred_at=AT)


def test_show_tells_the_active_revision_of_the_log_and_who_made_it(log: Log) -> None:
    """The last sound record counts; broken ones after it are counted and change nothing."""
    log.create()
    _, first = revision_record(1, DOCUMENT, "loanrouter", "first revision")
    second, good = revision_record(
        2, changed(("funders", 0, "name"), "东方银行"), "wei.zhang", "East's name in Chinese"
    )
    _, stale = revision_record(2, changed(("attempts", "max"), 9), "li.na", "made from an old base")
    log.publish(first, b"no record", good, stale)

    told = json.loads(log.show("--json").stdout)
    done = log.show()

    assert told == {
        "revision": 2,
        "config_sha256": second.sha256,
        "source": "rotation-config",
        "author": "wei.zhang",
        "reason": "East's name in Chinese",
        "occurred_at": "2026-11-24T01:30:00.000Z",
        "refused_records": 2,
        "config": json.loads(second.canonical),
    }
    assert done.exit_code == 0
    assert first_revision(load_document(done.stdout, "shown")).sha256 == second.sha256
    assert "# revision: 2" in done.stdout.splitlines()
    assert "东方银行" in done.stdout


def test_show_prints_any_text_so_that_it_is_read_back(log: Log) -> None:
    """Texts that YAML would take for something else, and those with its own signs, come back as they are."""
    document = changed(("selection", "seed"), "2026:11")
    names = ("no", "a: b # c", "'\"\\\n\t", "1e5 \u2028 \x00 \U0001f600")
    for funder, name in zip(document["funders"], names, strict=True):
        funder["name"] = name
    revision, record = revision_record(1, document, "wei.zhang", "odd\nnames")
    log.create()
    log.publish(record)

    done = log.show()

    assert first_revision(load_document(done.stdout, "shown")).sha256 == revision.sha256


@pytest.mark.parametrize("created", [True, False], ids=["empty topic", "no topic"])
def test_show_falls_back_to_the_file_while_the_log_is_empty(log: Log, created: bool) -> None:
    """Before the first worker started, the file is what will be revision 1."""
    if created:
        log.create()

    told = json.loads(log.show("--json").stdout)

    assert (told["revision"], told["config_sha256"], told["author"]) == (1, first_revision(DOCUMENT).sha256, None)
    assert told["source"].startswith(str(PATH))


def test_show_of_a_broken_file_ends_with_2(log: Log, broken: Path) -> None:
    """A file that no worker would start with is not shown as active."""
    done = log.show(file=broken)

    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{broken}:20: funders[0].weight: " in done.stderr


def test_show_without_a_broker_ends_with_1() -> None:
    """What is active cannot be known then: the file is not taken for it."""
    done = config("show", LOANROUTER_KAFKA=f"127.0.0.1:{free_port()}", LOANROUTER_CONFIG=str(PATH))

    assert (done.exit_code, done.stdout) == (1, "")
    assert "Kafka at 127.0.0.1" in done.stderr
