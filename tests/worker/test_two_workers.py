"""Two workers share the work, hear of the same configuration, and take over from one another whatever happens.

However one of them ends, each drawdown has one routed decision, with the same bytes each time it is published.
"""

import asyncio
import json
import signal
from copy import deepcopy
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import yaml

from config.records import Activation, encode
from config.revisions import first_revision
from console.shadows import Shadows
from rotation.clock import rfc3339
from rotation.plan import is_within
from tests.processes import loanrouter, running, until
from tests.rotation.world import request
from tests.worker.burst import Burst
from tests.worker.conftest import PAIR
from tests.worker.service import Item, Service, now
from whatif.shadow_told import Watch


def test_both_work(pair: Service) -> None:
    """The partitions are shared: each of the two decides some of the drawdowns."""
    samples = 'loanrouter_decisions_total{status="routed"}'
    before = [pair.workers.metric(name, samples) for name in PAIR]
    burst = Burst(pair)
    burst.ask(0.1)
    burst.until_decided()
    after = [pair.workers.metric(name, samples) for name in PAIR]
    assert all(later > earlier for earlier, later in zip(before, after, strict=True))
    assert sum(after) - sum(before) == len(burst.asked)


def test_a_revision_reaches_both(pair: Service) -> None:
    """Decisions on all partitions follow a new revision without a restart."""
    pair.configure(lambda document: document["holding"].update(seconds=600))
    pair.wait_guided()
    for partition in range(pair.settings.partitions):
        drawdown_id, at = ask_for_nothing(pair, partition)
        (decision,) = pair.decisions(drawdown_id)
        assert (decision.config_revision, decision.expires_at) == (pair.revision, rfc3339(at + 600_000))
    assert [pair.workers.metric(name, "loanrouter_config_revision") for name in PAIR] == [pair.revision] * 2


def ask_for_nothing(service: Service, partition: int) -> tuple[str, int]:
    """Ask for a drawdown that is held, since its borrower has no grant; gives its id and when."""
    drawdown_id, at = f"dd-{service.number()}", now()
    service.tell(request(drawdown_id, at, customer_id=service.customer(partition)))
    return drawdown_id, at


def test_a_broken_revision_is_refused(pair: Service) -> None:
    """Each broken record is counted by both workers and changes nothing; the next good revision is accepted."""
    sample, active = "loanrouter_config_records_refused_total", pair.revision
    expected = [pair.workers.metric(name, sample) + 7 for name in PAIR]
    good = json.loads(pair.record_of(active + 1, lambda document: document["holding"].update(seconds=60)))
    broken = [
        b"{",
        None,
        json.dumps(good | {"revision": active + 2}).encode(),
        json.dumps(good | {"config_sha256": "0" * 64}).encode(),
        json.dumps(good | {"reason": ""}).encode(),
        json.dumps(good | {"config": good["config"] | {"holdings": 1}}).encode(),
        json.dumps({name: value for name, value in good.items() if name != "author"}).encode(),
    ]
    pair.publish(*(Item("rotation-config", value, b"config") for value in broken))
    until(lambda: [pair.workers.metric(name, sample) for name in PAIR] == expected)
    drawdown_id, _ = ask_for_nothing(pair, 0)
    assert pair.decisions(drawdown_id)[0].config_revision == active
    pair.configure(lambda document: None)
    pair.wait_guided()
    assert pair.revision == active + 1


def change(service: Service, *arguments: str, code: int = 0) -> Any:
    """Change the configuration as people do; gives what `loanrouter config … --json` told."""
    done = loanrouter("config", *arguments, "--reason", "a test", "--json", **service.settings.environment())
    assert done.returncode == code, done.stderr
    told = json.loads(done.stdout)
    service.revision = told.get("revision") or service.revision
    return told


def activation_of(draft: Any, base: int) -> Activation:
    """The activation of a draft as it was told, at once."""
    return Activation(
        author="wei",
        reason="a test",
        occurred_at=datetime.now(UTC),
        draft=draft["draft"],
        base=base,
        config_sha256=draft["config_sha256"],
    )


def test_an_activation_reaches_both_within_2_seconds(pair: Service, tmp_path: Path) -> None:
    """Without a restart; a draft that is only approved decides nothing."""
    document = deepcopy(pair.document)
    document["holding"]["seconds"] = 700
    file = tmp_path / "draft.yaml"
    file.write_text(yaml.safe_dump(document))
    draft = change(pair, "propose", str(file), "--author", "wei")
    assert change(pair, "approve", draft["draft"], "--author", "wei", code=1)["offset"] is None
    change(pair, "approve", draft["draft"], "--author", "li")
    before, at = ask_for_nothing(pair, 0)
    assert pair.decisions(before)[0].expires_at == rfc3339(at + pair.document["holding"]["seconds"] * 1000)
    pair.publish(Item("rotation-config", encode(activation_of(draft, pair.revision)), b"config"))
    pair.revision += 1
    until(lambda: [pair.workers.metric(n, "loanrouter_config_revision") for n in PAIR] == [pair.revision] * 2, 2)
    for partition in range(pair.settings.partitions):
        drawdown_id, at = ask_for_nothing(pair, partition)
        (decision,) = pair.decisions(drawdown_id)
        assert (decision.config_revision, decision.expires_at) == (pair.revision, rfc3339(at + 700_000))
        assert decision.config_sha256 == draft["config_sha256"]
    change(pair, "rollback")
    pair.wait_guided()


def test_an_activation_at_a_time(pair: Service, tmp_path: Path) -> None:
    """Both decide under it from its time on and not before, on every partition; so does what the gauge tells."""
    document = deepcopy(pair.document)
    document["holding"]["seconds"] = 800
    file = tmp_path / "draft.yaml"
    file.write_text(yaml.safe_dump(document))
    draft = change(pair, "propose", str(file), "--author", "wei")
    change(pair, "approve", draft["draft"], "--author", "li")
    before, then = pair.revision, now() + 3000
    activation = activation_of(draft, before)
    scheduled = msgspec.structs.replace(activation, at=datetime.fromtimestamp(then / 1000, UTC))
    pair.publish(Item("rotation-config", encode(scheduled), b"config"))
    pair.revision += 1
    asked: list[str] = []

    def switched() -> bool:
        asked.extend(ask_for_nothing(pair, partition)[0] for partition in range(pair.settings.partitions))
        return [pair.workers.metric(n, "loanrouter_config_revision") for n in PAIR] == [before + 1] * 2

    until(switched)
    assert now() >= then
    asked.extend(ask_for_nothing(pair, partition)[0] for partition in range(pair.settings.partitions))
    decisions = [pair.decisions(drawdown_id)[0] for drawdown_id in asked]
    late = {each.drawdown_id for each in decisions if each.decided_at >= rfc3339(then)}
    assert {each.drawdown_id for each in decisions if each.config_revision == before + 1} == late
    assert 0 < len(late) < len(asked)
    change(pair, "rollback")
    pair.wait_guided()


def test_a_funder_s_kill_switch_reaches_both(pair: Service) -> None:
    """Each partition excludes the paused funder, until it is resumed."""

    def who_pauses() -> set[bool]:
        asked = [ask_for_nothing(pair, partition)[0] for partition in range(pair.settings.partitions)]
        return {"funder_paused" in pair.decisions(drawdown_id)[0].excluded["cf-west"] for drawdown_id in asked}

    for switch, paused in (("pause", True), ("resume", False)):
        change(pair, switch, "cf-west")
        pair.wait_guided()
        assert who_pauses() == {paused}


def test_a_drained_worker(pair: Service) -> None:
    """SIGTERM in mid-work ends with 0; the other one decides the rest, and nothing is published twice."""
    burst = Burst(pair)
    burst.ask(0.5)
    burst.until_begun()
    burst.ask(0.5)
    pair.workers.signal("two", signal.SIGTERM)
    # The embedded broker goes on naming members that have left.
    assert pair.members() == 1 or not pair.settings.kafka_idempotence
    assert all(len(values) == 1 for values in burst.until_decided().values())
    pair.workers.start("two")


def test_a_killed_worker(pair: Service) -> None:
    """After kill -9 in mid-work the other one decides the rest; what is published again has the same bytes."""
    burst = Burst(pair)
    burst.ask(0.5)
    burst.until_begun()
    burst.ask(0.5)
    pair.workers.signal("two", signal.SIGKILL)
    assert pair.members() == 2 or not pair.settings.kafka_idempotence
    burst.until_decided()
    pair.workers.start("two")


def seen_in_the_shadow(service: Service, sha256: str) -> int:
    """How many decisions a shadow has compared, as the console is told."""

    async def ask() -> Watch | None:
        shadows = Shadows.connect(service.settings)
        try:
            return await shadows.of(sha256)
        finally:
            await shadows.aclose()

    watch = asyncio.run(ask())
    return 0 if watch is None else watch.seen.compared


def test_a_draft_in_the_shadow(pair: Service, tmp_path: Path) -> None:
    """It is asked of all that is decided from its beginning on, and nobody is routed by it or sees it in the group."""
    document = deepcopy(pair.document)
    document["funders"][1]["status"] = "paused"
    file = tmp_path / "draft.yaml"
    file.write_text(yaml.safe_dump(document))
    burst, members = Burst(pair), pair.members()
    with running("shadow", str(file), "--json", **pair.settings.environment()) as shadow:
        assert shadow.stderr is not None
        assert "in the shadow of the active revision since" in shadow.stderr.readline()
        burst.ask(0.2)
        decided = burst.until_decided()
        assert pair.members() == members
        compared = partial(seen_in_the_shadow, pair, first_revision(document).sha256)
        until(lambda: compared() >= len(burst.asked))
        shadow.send_signal(signal.SIGTERM)
        told, _ = shadow.communicate(timeout=30)
    seen = json.loads(told)["seen"]
    made = [json.loads(decided[drawdown_id][0]) for drawdown_id in burst.asked]
    paused = {each["decision_id"] for each in made if each["funder_id"] == "cf-north"}
    moved = {each["decision_id"]: each for each in seen["differing"] if each["active"]["funder_id"] == "cf-north"}
    assert paused
    assert moved.keys() == paused
    assert {each["draft"]["funder_id"] for each in moved.values()} == {"cf-west"}
    assert seen["funders"]["cf-west"] == {"active": len(made) - len(paused), "draft": len(made)}
    assert shadow.returncode == 0


def is_let_in(service: Service, sha256: str, partition: int) -> bool:
    """Whether the worker of a partition decides for a borrower in half of all under the revision being let in."""
    customer_id = service.customer(partition)
    while not is_within(customer_id, sha256, 50):
        customer_id = service.customer(partition)
    drawdown_id = f"dd-{service.number()}"
    service.tell(request(drawdown_id, now(), customer_id=customer_id))
    return service.decisions(drawdown_id)[0].config_sha256 == sha256


def test_a_ramp_is_stopped_by_its_guardrail(pair: Service, tmp_path: Path) -> None:
    """Who is in the share is decided under the draft, nobody else; as it serves them worse, all are taken back."""
    document = deepcopy(pair.document)
    for funder in document["funders"]:
        funder["regions"] = ["110000"]  # nobody asks from there
    file = tmp_path / "draft.yaml"
    file.write_text(yaml.safe_dump(document))
    draft = change(pair, "propose", str(file), "--author", "wei")
    change(pair, "approve", draft["draft"], "--author", "li")
    before, burst = pair.revision, Burst(pair)
    env = pair.settings.environment()
    with running("config", "watch", "--least", "30", "--json", **env) as watch:
        change(pair, "activate", draft["draft"], "--ramp", "50,100", "--every", "1h")
        for partition in range(pair.settings.partitions):
            until(lambda partition=partition: is_let_in(pair, draft["config_sha256"], partition))  # type: ignore[misc]
        burst.ask(0.4)
        assert watch.stdout is not None
        stopped = json.loads(watch.stdout.readline())
        watch.send_signal(signal.SIGTERM)
        assert watch.wait(30) == 0
    assert (stopped["draft"], stopped["void"]) == (draft["draft"], before + 1)
    assert stopped["reason"].startswith("unserved: 100.0% of ")
    (*_, last) = json.loads(loanrouter("config", "log", "--json", **env).stdout)
    assert (last["kind"], last["author"], last["reason"]) == ("withdraw", "guardrail", stopped["reason"])
    pair.until(lambda: all(v and json.loads(v[-1])["status"] == "routed" for v in burst.decided().values()), 60)
    taken_back = 0
    for values in burst.decided().values():
        made = [json.loads(value) for value in values]
        ways = [(each["status"], each["config_revision"]) for each in made]
        if is_within(made[0]["customer_id"], draft["config_sha256"], 50) and len(ways) == 2:
            assert ways == [("held", before + 1), ("routed", before)]
            taken_back += 1
        else:
            assert ways == [("routed", before)]
    assert taken_back >= 30
    pair.configure(lambda document: None)
    pair.wait_guided()


def test_replay_gets_the_same(pair: Service) -> None:
    """After all of that the log still tells how each decision came about, byte for byte."""
    burst = Burst(pair)
    burst.ask(0.1)
    burst.until_decided()
    done = loanrouter("replay", "--check", "--json", **pair.settings.environment())
    told = json.loads(done.stdout)
    assert (done.returncode, told["differing"]) == (0, [])
    assert told["decisions"] == told["recorded"] >= len(burst.asked)
