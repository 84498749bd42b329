"""A program with a token does what its user may do, in that user's name, and nothing else."""

import json
import re
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis

from tests.console.conftest import Office
from tests.console.served import PASSWORD, Console
from tests.processes import loanrouter


def made(console: Console, name: str, *roles: str, label: str = "a test", days: int = 1) -> str:
    """A token that somebody makes on the page."""
    fields = {"label": label, "days": days, "roles": list(roles)}
    answer = console.seated(name).send("/tokens/make", fields, page="/tokens")
    assert answer.status == 200, answer.text
    (token,) = re.findall(r"<code>(lr_[^<]+)</code>", answer.text)
    return str(token)


def config(console: Console, token: str, *arguments: str, code: int = 0) -> Any:
    """What `loanrouter config` prints as JSON by way of the console; Kafka is not where it looks."""
    env = {
        "LOANROUTER_KAFKA": "127.0.0.1:1",
        "LOANROUTER_CONSOLE_URL": console.address,
        "LOANROUTER_CONSOLE_TOKEN": token,
    }
    done = loanrouter("config", *arguments, "--json", **env)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def file(office: Office, tmp_path: Path) -> Path:
    """A changed configuration."""
    document = yaml.safe_load(office.service.settings.config.read_text())
    document["holding"]["seconds"] = 4000 + office.service.number()
    path = tmp_path / "draft.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_command_line_changes_the_configuration_by_way_of_the_console(console: Console, file: Path) -> None:
    """Propose, approve, log: each in the name of the token's user, whatever author is given."""
    author, approver = made(console, "edith", "editor"), made(console, "april", "approver")
    draft = config(console, author, "propose", str(file), "--reason", "by token", "--author", "mallory")["draft"]
    config(console, approver, "approve", draft)
    config(console, author, "withdraw", draft, "--reason", "tried")

    mine = [entry for entry in config(console, author, "log") if entry["draft"] == draft]
    assert [(entry["kind"], entry["author"]) for entry in mine] == [
        ("propose", "edith"),
        ("approve", "april"),
        ("withdraw", "edith"),
    ]


def test_the_life_cycle_holds_by_token_too(console: Console, file: Path) -> None:
    """The author's own approval is refused, with exit code 1, and the refusal is told."""
    token = made(console, "max", "editor", "approver")
    draft = config(console, token, "propose", str(file), "--reason", "by token")["draft"]

    refused = config(console, token, "approve", draft, code=1)

    assert "max" in refused["refused"]
    config(console, token, "withdraw", draft, "--reason", "tried")


@pytest.mark.parametrize(
    ("who", "roles", "verb", "takes"),
    [
        ("edith", ["editor"], ["pause", "cf-west"], "operator"),
        ("max", ["editor"], ["rotation", "off"], "operator"),
        ("vera", [], ["pause", "cf-west"], "operator"),
    ],
)
def test_a_token_has_its_roles_alone(
    console: Console, who: str, roles: Sequence[str], verb: Sequence[str], takes: str
) -> None:
    """What takes another role is refused, also when the user has it and the token has not."""
    said = config(console, made(console, who, *roles), *verb, "--reason", "x", code=1)

    assert takes in said


def test_a_whole_revision_is_not_written(console: Console) -> None:
    """Whatever the roles: it is told that it has to be proposed."""
    bearer = f"Bearer {made(console, 'max', 'editor', 'approver', 'operator')}"
    program = console.visitor()
    log = json.loads(program.get("/api/rotation-config", Authorization=bearer).text)["records"]

    answer = program.post("/api/rotation-config", b64decode(log[0]["value"]), Authorization=bearer)

    assert answer.status == 403
    assert "propose it as a draft" in answer.text
    assert json.loads(program.get("/api/rotation-config", Authorization=bearer).text)["records"] == log


def test_nobody_gives_away_what_they_have_not(console: Console) -> None:
    """A token with a role that its maker lacks is not made; nor one without end, nor one for nothing."""
    vera = console.seated("vera")
    for fields in (
        {"label": "x", "days": 1, "roles": "operator"},
        {"label": "x", "days": 366},
        {"label": "x", "days": 0},
        {"label": " ", "days": 1},
    ):
        answer = vera.send("/tokens/make", fields, page="/tokens")
        assert answer.status == 400
        assert "lr_" not in answer.text


def test_a_token_opens_no_page(console: Console) -> None:
    """Neither to look nor to write: only what is for programs."""
    bearer = f"Bearer {made(console, 'max', 'editor', 'approver', 'operator')}"
    stranger = console.visitor()

    assert stranger.get("/api/rotation-config", Authorization=bearer).status == 200
    assert stranger.get("/funders", Authorization=bearer).status == 403
    assert stranger.post("/funders/cf-west/pause", {"reason": "x"}, Authorization=bearer).status == 403
    assert stranger.post("/tokens/make", {"label": "x", "days": 1}, Authorization=bearer).status == 403


@pytest.mark.parametrize("header", ["Bearer lr_0123456789abcdef_" + "a" * 43, "Bearer", "Basic dmVyYTp4", "Bearer x y"])
def test_what_is_no_token_is_refused(console: Console, header: str) -> None:
    """Also of somebody who is logged in."""
    assert console.seated("vera").get("/api/rotation-config", Authorization=header).status == 401


def test_a_revoked_token_has_ended(console: Console) -> None:
    """At once; it is listed no more, the others are."""
    kept, token = made(console, "vera", label="kept"), made(console, "vera", label="lost on a train")
    page = console.seated("vera").get("/tokens").text
    assert token.split("_", 2)[2] not in page
    console.seated("vera").send("/tokens/revoke", {"token": token.split("_")[1]}, page="/tokens")

    assert "has ended" in config(console, token, "log", code=1)
    assert config(console, kept, "log")
    page = console.seated("vera").get("/tokens").text
    assert ("kept" in page, "lost on a train" in page) == (True, False)


def test_nobody_revokes_another_s(console: Console) -> None:
    """An id alone ends nothing."""
    token = made(console, "edith", "editor")
    console.seated("vera").send("/tokens/revoke", {"token": token.split("_")[1]}, page="/tokens")

    assert config(console, token, "log")


def test_a_new_password_ends_all_tokens(console: Console) -> None:
    """Of its user; and somebody taken out has none."""
    console.invite("handed")
    first = made(console, "handed")
    assert console.visitor("handed").choose_password(PASSWORD, PASSWORD + " staple").status == 303
    assert "has ended" in config(console, first, "log", code=1)


def test_redis_holds_no_token(office: Office) -> None:
    """Who reads Redis finds no secret that opens anything."""
    token = made(office.console, "vera")
    redis = Redis.from_url(office.service.settings.redis)
    kept = b"".join(redis.dump(key) or b"" for key in redis.keys("*console:tokens"))
    assert kept
    assert token.split("_", 2)[2].encode() not in kept
