"""Every command explains itself, refuses wrong use with 2 and a word that helps, and fails with 1 in one line."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from streams.embedded import EmbeddedKafka, free_port

ROOT = Path(__file__).parents[2]
#: The commands of the contract, section 7, that exist, with arguments that are good.
COMMANDS: dict[str, tuple[str, ...]] = {
    "demo": (),
    "worker": (),
    "console": (),
    "synthetic": (),
    "topics create": (),
    "config check": ("config/rotation.yaml",),
    "config show": (),
    "config diff": ("config/rotation.yaml", "config/rotation.yaml"),
    "config log": (),
    "config propose": ("config/rotation.yaml", "--reason", "a test"),
    "config approve": ("d-1",),
    "config activate": ("d-1",),
    "config withdraw": ("d-1", "--reason", "a test"),
    "config rollback": ("1", "--reason", "a test"),
    "config pause": ("cf-west", "--reason", "a test"),
    "config resume": ("cf-west", "--reason", "a test"),
    "config watch": (),
    "config rotation": ("off", "--reason", "a test"),
    "funders list": (),
    "funders set": ("cf-west", "normal", "--reason", "a test", "--yes"),
    "explain": ("dd-1",),
    "replay": (),
    "what-if": ("config/rotation.yaml",),
    "shadow": ("config/rotation.yaml",),
    "export": (".pytest_cache/nowhere",),
    "market scenarios": (),
    "market run": ("mixed",),
    "market drive": ("mixed",),
    "market compare": (),
    "market gather": ("tests",),
    "dead-letters list": (),
    "dead-letters replay": ("--yes",),
}
#: What prints a list or a document for other programs too.
WITH_JSON = set(COMMANDS) - {"worker", "console", "synthetic"}
#: What asks Kafka and does not wait for it.
ASKING = [
    name
    for name in COMMANDS
    if name not in ("config check", "config diff", "worker", "synthetic", "demo") and not name.startswith("market")
]
GROUPS = ["topics", "config", "funders", "market", "dead-letters"]


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    """One run of `loanrouter`."""
    return CliRunner().invoke(main, [*words], prog_name="loanrouter", env=env)


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> dict[str, click.Command]:
    """Every command that does something, by the words that call it."""
    if not isinstance(command, click.Group):
        return {" ".join(path): command}
    context = click.Context(command)
    found: dict[str, click.Command] = {}
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        found |= leaves(below, (*path, name))
    return found


def test_the_table_names_every_command() -> None:
    """What is tested here is all that there is."""
    assert set(leaves(main)) == set(COMMANDS)


@pytest.mark.parametrize("name", ["", *GROUPS, *COMMANDS])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_tells_use_and_options(name: str, option: str) -> None:
    """Use, a sentence, and a text for every option; nothing in a list of commands is cut off."""
    result = run(*name.split(), option)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: loanrouter {name}".rstrip())
    assert "..." not in result.stdout.replace("[ARGS]...", "")
    if name in COMMANDS:
        command = leaves(main)[name]
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, parameter.name
                assert parameter.opts[0] in result.stdout


def test_help_of_the_whole_lists_the_commands() -> None:
    """The first word of each command, with what it is for."""
    lines = run("--help").stdout.splitlines()
    for word in {name.split()[0] for name in COMMANDS}:
        assert any(line.split()[:1] == [word] and len(line.split()) > 3 for line in lines), word


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_wrong_use(name: str) -> None:
    """2, the option by name, and where help is."""
    result = run(*name.split(), "--nonsense")
    assert result.exit_code == 2
    assert "No such option: --nonsense" in result.stderr
    assert f"Try 'loanrouter {name} -h' for help." in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_word_too_many_is_wrong_use(name: str) -> None:
    """2, for a command that takes no such argument."""
    words = COMMANDS[name] if name not in ("replay",) else ("-",)
    result = run(*name.split(), *words, "surplus")
    assert result.exit_code == 2
    assert "unexpected extra argument (surplus)" in result.stderr


@pytest.mark.parametrize("name", WITH_JSON)
def test_json_is_offered(name: str) -> None:
    """Whatever is listed can be had as JSON."""
    assert any("--json" in parameter.opts for parameter in leaves(main)[name].params)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("nonsense", "No such command 'nonsense'"),
        ("topics nonsense", "No such command 'nonsense'"),
        ("config check", "Missing argument 'FILE'"),
        ("config check no-such-file", "no-such-file: cannot be read"),
        ("funders set cf-west nonsense --reason x", "'normal', 'watch', 'throttled', 'paused', 'probing'"),
        ("funders set cf-west normal", "Missing option '--reason'"),
        ("funders set cf-west normal --yes --reason=", "reason may not be blank"),
        ("explain", "Missing argument 'DRAWDOWN_ID'"),
        ("explain dd-1 --log no-such-file", "'no-such-file' does not exist"),
        ("explain dd-1 --log README.md", "README.md:1: JSON is malformed"),
        ("replay no-such-file", "No such file or directory"),
        ("replay README.md", "README.md:1: JSON is malformed"),
        ("export .pytest_cache/nowhere --log README.md", "README.md:1: JSON is malformed"),
        ("export README.md/x --log tests/contract/examples/story.jsonl", "README.md/x cannot be written into: Not a d"),
        ("what-if active --log README.md", "README.md:1: JSON is malformed"),
        ("what-if active --html nodir/x --log README.md", "nodir/x cannot be written: No such file or directory"),
        ("replay - --config README.md", "README.md:"),
        ("dead-letters list --reason nonsense", "'nonsense' is not one of"),
        ("dead-letters list --since yesterday", "neither RFC 3339 nor an age"),
        ("dead-letters list --since 2026-11-01T00:00:00", "needs a zone"),
        ("dead-letters list --content", "--content needs --json"),
        ("dead-letters replay --limit 0", "'--limit'"),
        ("market run nowhere.yaml", "nowhere.yaml: no such file; shipped scenarios are all_honest"),
        ("market run mixed --config README.md", "README.md:"),
        ("market drive nowhere.yaml", "nowhere.yaml: no such file; shipped scenarios are all_honest"),
        ("market drive mixed --kafka nonsense", "LOANROUTER_KAFKA must be host:port"),
        ("market compare --policies nonsense", "nonsense: known are lock_in"),
        ("market compare --vary hazard.luck=1", "hazard.luck: cannot be varied"),
        ("market compare --vary hazard.depth_hazard", "give KEY=NUMBER,NUMBER"),
        ("demo --rate 0", "'--rate'"),
        ("demo --kafka nonsense", "LOANROUTER_KAFKA must be host:port"),
        ("demo --redis redis://:secret@127.0.0.1", "it holds a password"),
    ],
)
def test_wrong_use_is_told(words: str, says: str) -> None:
    """2, with what is wrong; never a traceback."""
    result = run(*words.split())
    assert result.exit_code == 2
    assert says in result.stderr
    assert "secret" not in result.output


@pytest.mark.parametrize("name", [*ASKING, "worker", "synthetic", "demo"])
def test_a_bad_setting_is_wrong_use(name: str) -> None:
    """2, with the variable and what it must be, before anything is done."""
    result = run(*name.split(), *COMMANDS[name], env={"LOANROUTER_PARTITIONS": "eight"})
    assert result.exit_code == 2
    assert "LOANROUTER_PARTITIONS must be a whole number from 1 to 1000" in result.stderr


@pytest.mark.parametrize("name", ASKING)
def test_kafka_that_is_away_is_told_in_one_line(name: str) -> None:
    """1, with the address; a command for a person does not wait."""
    address = f"127.0.0.1:{free_port()}"
    result = run(*name.split(), *COMMANDS[name], env={"LOANROUTER_KAFKA": address})
    assert result.exit_code == 1
    assert result.stderr == f"Error: Kafka at {address}: cannot be reached\n"
    assert result.stdout == ""


def test_redis_that_is_away_is_told_before_anything_is_started() -> None:
    """1, with its address."""
    url = f"redis://127.0.0.1:{free_port()}/0"
    result = run("demo", "--redis", url)
    assert result.exit_code == 1
    assert f"Error: Redis at {url}: " in result.stderr
    assert "worker" not in result.stderr


@pytest.mark.parametrize("name", ["explain", "replay", "dead-letters list", "dead-letters replay"])
def test_topics_that_do_not_exist_are_told_with_what_to_do(name: str, embedded_kafka: EmbeddedKafka) -> None:
    """1, with the command that creates them."""
    env = {"LOANROUTER_KAFKA": embedded_kafka.bootstrap, "LOANROUTER_TOPIC_PREFIX": f"cli{os.getpid()}."}
    result = run(*name.split(), *COMMANDS[name], env=env)
    assert result.exit_code == 1
    assert "no such topic" in result.stderr
    assert result.stderr.endswith("create the topics first: loanrouter topics create\n")


def test_the_installed_command_gives_the_exit_codes() -> None:
    """0, 1 and 2 reach the shell, and what is wrong goes to standard error."""
    command = Path(sys.executable).with_name("loanrouter")
    for words, code in (
        (("config", "check", "config/rotation.yaml"), 0),
        (("explain", "dd-1", "--log", "tests/contract/examples/story.jsonl"), 1),
        (("config", "check", "README.md"), 2),
    ):
        done = subprocess.run([command, *words], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == code, done.stderr
        assert (done.stdout == "") == (code != 0)
        assert (done.stderr == "") == (code == 0)
