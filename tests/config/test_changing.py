"""The verbs of `loanrouter config` that change something write one record each, and say whether it counts.

Exit codes: 0 when the record counts, 1 when it is refused or nothing can be written, 2 for wrong use.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from config.revisions import first_revision
from config.settings import Settings
from streams.embedded import free_port
from tests.config.changes import FIRST, SHA256, VERSIONS
from tests.config.shipped import DOCUMENT, PATH, edited, written
from tests.config.test_command import Log, config


class Desk:
    """Where people change the configuration: a log that begins with the shipped file, and files of drafts."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.folder = folder
        self._env = settings.environment()
        log = Log(settings)
        log.create()
        log.publish(FIRST)

    def run(self, *arguments: object) -> Result:
        """`loanrouter config`."""
        return config(*arguments, **self._env)

    def tell(self, *arguments: object, code: int = 0) -> Any:
        """What `loanrouter config … --json` prints, with this exit code."""
        done = self.run(*arguments, "--json")
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    def file(self, version: int, head: str = "") -> Path:
        """A file that holds one of the versions."""
        path = self.folder / f"version-{version}.yaml"
        path.write_text(head + written(VERSIONS[version]))
        return path

    def propose(self, author: str, version: int = 0, draft: str = "d") -> Any:
        """Propose a version."""
        return self.tell("propose", self.file(version), "--draft", draft, "--author", author, "--reason", "more")


@pytest.fixture
def desk(settings: Settings, tmp_path: Path) -> Desk:
    """A desk of its own on each broker."""
    return Desk(settings, tmp_path)


def test_a_change_from_the_proposal_to_the_rollback(desk: Desk) -> None:
    """Each verb tells what stands after it, and what it changes for whom."""
    proposed = desk.propose("wei")
    assert (proposed["draft"], proposed["revision"], proposed["config_sha256"]) == ("d", None, SHA256[0])
    assert {"about": "bank-east", "key": "weight", "words": "weight 3 → 4"} in proposed["changes"]

    assert desk.tell("activate", "d", "--author", "wei", code=1)["refused"].endswith(
        "d needs the approval of somebody who did not write it"
    )
    assert desk.tell("approve", "d", "--author", "wei", code=1)["refused"].endswith(
        "wei wrote d; somebody else has to approve it"
    )
    assert desk.tell("approve", "d", "--author", "li")["revision"] is None
    assert desk.tell("activate", "d", "--author", "wei")["revision"] == 2
    assert desk.tell("show")["config_sha256"] == SHA256[0]
    assert desk.tell("rollback", "--author", "li", "--reason", "worse")["revision"] == 3
    shown = desk.tell("show")
    assert (shown["config"], shown["author"], shown["reason"]) == (DOCUMENT, "li", "worse")
    assert [(entry["kind"], entry["author"], entry["revision"]) for entry in desk.tell("log")] == [
        ("revision", "loanrouter", 1),
        ("propose", "wei", None),
        ("approve", "li", None),
        ("activate", "wei", 2),
        ("rollback", "li", 3),
    ]


def test_the_kill_switches(desk: Desk) -> None:
    """A funder, then rotation as a whole, off and on again: the configuration is then as it was."""
    why = ("--author", "li", "--reason", "captures")

    paused = desk.tell("pause", "cf-west", *why)
    assert {"about": "cf-west", "key": "status", "words": "paused: gets no drawdown"} in paused["changes"]
    assert desk.run("pause", "cf-west", *why).exit_code == 1
    off = desk.tell("rotation", "off", *why)
    assert "rule never_last off" in [change["words"] for change in off["changes"]]
    assert desk.tell("show")["config"]["rotation"] == {"relax_order": [], "min_live_grants": 3}
    assert desk.tell("rotation", "on", *why)["revision"] == 4
    assert desk.tell("resume", "cf-west", *why)["revision"] == 5
    assert desk.tell("show")["config"] == DOCUMENT


def test_what_is_seen_is_what_is_approved(desk: Desk) -> None:
    """An edit that comes between is not approved unseen, when the hash that was seen is given."""
    desk.propose("wei")
    desk.propose("wei", version=1)

    late = desk.run("approve", "d", "--author", "li", "--sha256", SHA256[0][:12])

    assert (late.exit_code, late.stdout) == (1, "")
    assert f"d has the hash {SHA256[1]}, not {SHA256[0][:12]}; it may have been edited since" in late.stderr
    assert desk.run("approve", "d", "--author", "li", "--sha256", SHA256[1][:12]).exit_code == 0


def test_a_file_of_an_older_revision_is_refused(desk: Desk) -> None:
    """`config show` writes the revision into its file: what became active since is not undone by an edit of it."""
    shown = desk.run("show").stdout
    desk.run("pause", "cf-west", "--author", "li", "--reason", "captures")
    old = desk.folder / "old.yaml"
    old.write_text(shown.replace("weight: 3", "weight: 4"))

    done = desk.run("propose", old, "--author", "wei", "--reason", "more")

    assert done.exit_code == 1
    assert "made for revision 1, but 2 is active now" in done.stderr
    assert [entry["kind"] for entry in desk.tell("log")] == ["revision", "pause"]  # it was not even written
    assert desk.run("propose", old, "--base", 2, "--author", "wei", "--reason", "he may").exit_code == 0


def test_a_withdrawn_draft_is_gone(desk: Desk) -> None:
    """And is named among the open ones no more."""
    desk.propose("wei")
    assert "open draft d on revision 1: written by wei, approved by nobody yet" in desk.run("log").stdout

    assert desk.run("withdraw", "d", "--author", "wei", "--reason", "no more wanted").exit_code == 0
    assert "open draft" not in desk.run("log").stdout
    assert desk.run("approve", "d", "--author", "li").exit_code == 1


def test_an_activation_at_a_time(desk: Desk) -> None:
    """It is shown while it waits, it can be withdrawn, and what comes between makes it void."""
    at = (datetime.now(UTC) + timedelta(hours=8)).isoformat(timespec="milliseconds")
    desk.propose("wei")
    desk.run("approve", "d", "--author", "li")

    scheduled = desk.tell("activate", "d", "--at", at, "--author", "wei")
    told = at.replace("+00:00", "Z")
    assert (scheduled["revision"], scheduled["at"], scheduled["config_sha256"]) == (2, told, SHA256[0])
    assert f"becomes revision 2 at {told}" in desk.run("log").stdout
    assert desk.tell("show")["revision"] == 1

    paused = desk.tell("pause", "cf-west", "--author", "li", "--reason", "captures")
    assert (paused["revision"], paused["void"]) == (3, 2)
    assert [(each["revision"], each["at"], each["void"]) for each in desk.tell("log")[-2:]] == [
        (2, told, None),
        (3, None, 2),
    ]
    assert "becomes" not in desk.run("log").stdout
    assert desk.run("rollback", "2", "--author", "li", "--reason", "never was").exit_code == 1

    desk.tell("propose", desk.file(1), "--draft", "e", "--base", 3, "--author", "wei", "--reason", "more")
    desk.run("approve", "e", "--author", "li")
    assert desk.run("activate", "e", "--at", at, "--author", "wei").exit_code == 0
    assert desk.tell("withdraw", "e", "--author", "wei", "--reason", "no more wanted")["void"] == 4
    rolled = desk.tell("rollback", "--author", "li", "--reason", "it was our own call")
    assert (rolled["revision"], desk.tell("show")["config"]) == (5, DOCUMENT)


def test_an_activation_by_steps(desk: Desk) -> None:
    """The shares are shown while they grow; a withdrawal takes everybody back."""
    desk.propose("wei")
    desk.run("approve", "d", "--author", "li")

    ramp = desk.tell("activate", "d", "--ramp", "5,25,100", "--every", "1h", "--author", "wei")
    assert (ramp["revision"], [step["share"] for step in ramp["steps"]]) == (2, [5, 25])
    first, second = (datetime.fromisoformat(step["at"]) for step in ramp["steps"])
    assert (second - first, datetime.fromisoformat(ramp["at"]) - second) == (timedelta(hours=1), timedelta(hours=1))
    assert desk.tell("log")[-1]["ramp"] == {"shares": [5, 25, 100], "every_seconds": 3600}
    assert f"for 25% from {ramp['steps'][1]['at']}" in desk.run("log").stdout
    assert "revision 2 by steps (5, 25, 100% of the borrowers, one every 3600 s)" in desk.run("log").stdout
    assert desk.tell("show")["revision"] == 1
    assert "withdraw it" in desk.run("rollback", "--author", "li", "--reason", "worse").stderr

    assert desk.tell("withdraw", "d", "--author", "guardrail", "--reason", "worse")["void"] == 2


def test_the_log_tells_also_what_was_refused(desk: Desk, settings: Settings) -> None:
    """Who tried it, or that nobody can read it, and why it does not count."""
    Log(settings).publish(FIRST.replace(b'"revision":1', b'"revision":7'), b"?")

    _, second, third = desk.tell("log")
    told = desk.run("log")

    assert (second["author"], second["revision"]) == ("loanrouter", None)
    assert second["refused"] == "rotation-config: revision: must be the next one, 2, but is 7"
    assert (third["kind"], third["refused"][:25]) == (None, "rotation-config: not JSON")
    assert told.exit_code == 0
    assert "must be the next one, 2, but is 7" in told.stdout


def test_diff_tells_in_words_what_changes_for_whom(desk: Desk, tmp_path: Path) -> None:
    """Of files, revisions and drafts alike; money in yuan, and the parts of the weights that follow."""
    file = tmp_path / "new.yaml"
    file.write_text(
        edited(
            ("weight: 3", "weight: 5"),
            ('regions: ["310000", "320000", "330000"]', 'regions: ["310000", "110000"]'),
            ("daily_amount: 500000000", "daily_amount: 400000050"),
            ("cooldown: {days: 14}\n", "cooldown: {days: 7}\n"),
            ("apr_cap_bp: 2400", "apr_cap_bp: 2000"),
        )
    )
    desk.propose("wei", version=1)

    assert desk.run("diff", PATH, file).stdout.splitlines() == [
        "all funders: highest annual rate (bp) 2400 → 2000",
        "all funders: rotation.cooldown.days 14 → 7",
        "bank-east: most a day 5,000,000.00 yuan → 4,000,000.50 yuan",
        "bank-east: regions + 110000 − 320000, 330000",
        "bank-east: weight 3 → 5",
        "bank-east: part of the active funders' weight 37.5% → 50.0%",
        "cf-north: part of the active funders' weight 25.0% → 20.0%",
        "cf-west: part of the active funders' weight 25.0% → 20.0%",
        "trust-south: part of the active funders' weight 12.5% → 10.0%",
    ]
    assert desk.tell("diff", "active", "d")[0] == {"about": "bank-east", "key": "weight", "words": "weight 3 → 5"}
    assert desk.run("diff", 1, PATH).stdout == "both say the same\n"
    assert desk.run("diff", 1, 2).exit_code == 2


REASON = ("--reason", "why")
WRONG = [
    ("propose", PATH),
    ("propose", "none.yaml", *REASON),
    ("pause", "cf-west"),
    ("pause", "cf-west", "--reason", " "),
    ("pause", "cf-west", *REASON, "--author", ""),
    ("rollback", "zero", *REASON),
    ("rotation", "maybe", *REASON),
    ("approve",),
    ("activate", "d", "--at", "tomorrow"),
    ("activate", "d", "--ramp", "5,100"),
    ("activate", "d", "--ramp", "5%,100%", "--every", "1h"),
    ("activate", "d", "--ramp", "5,100", "--every", "0"),
    ("activate", "d", "--at", "2026-12-01T00:00:00"),
]


@pytest.mark.parametrize("arguments", WRONG, ids=lambda words: " ".join(map(str, words))[-40:])
def test_wrong_use_ends_with_2(arguments: tuple[object, ...]) -> None:
    """Without a reason, a name or something that can be meant, Kafka is not even asked."""
    done = config(*arguments, LOANROUTER_KAFKA=f"127.0.0.1:{free_port()}")

    assert (done.exit_code, done.stdout) == (2, "")


def test_without_a_broker_nothing_is_changed() -> None:
    """The command ends with 1 and says that Kafka cannot be reached."""
    done = config("pause", "cf-west", *REASON, LOANROUTER_KAFKA=f"127.0.0.1:{free_port()}")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "cannot be reached" in done.stderr


def test_the_author_is_by_default_the_user_of_the_session(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody has to sign by hand."""
    monkeypatch.setenv("LOGNAME", "ming")

    desk.run("pause", "cf-west", *REASON)

    assert desk.tell("log")[-1]["author"] == "ming"
    assert first_revision(desk.tell("show")["config"]).config.funders[2].status == "paused"
