"""Embedded servers answer clients, stay on loopback, and leave no process behind, however their parent ends."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from streams.embedded import EmbeddedKafka, EmbeddedRedis, EmbeddedServer, EmbeddedServerError, free_port
from tests.processes import listening_addresses, until

PARENT = """
import sys, time
from streams.embedded import EmbeddedKafka, EmbeddedRedis
with EmbeddedKafka() as kafka, EmbeddedRedis() as redis:
    try:
        print(kafka.pid, redis.pid, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(1)  # long enough for servers that the signal reached to be gone
        print(kafka._process.poll(), redis._process.poll(), flush=True)
"""


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def parent() -> Iterator["subprocess.Popen[str]"]:
    """A process in a group of its own that has both servers running."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("server", [EmbeddedKafka, EmbeddedRedis])
def test_a_server_ends_with_its_block_and_listens_on_loopback_only(server: type[EmbeddedServer]) -> None:
    """Inside the block it listens on 127.0.0.1 and nowhere else; after it the process is gone."""
    with server() as running:
        pid = running.pid
        addresses = listening_addresses(pid)

    assert addresses == {"0100007F"}
    assert not is_running(pid)


def test_servers_die_with_a_parent_that_is_killed(parent: "subprocess.Popen[str]") -> None:
    """Kill -9 of the parent, which cannot clean up, takes both servers along."""
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(is_running(pid) for pid in pids)

    parent.kill()

    until(lambda: not any(is_running(pid) for pid in pids))


def test_the_terminal_s_ctrl_c_reaches_only_the_parent(parent: "subprocess.Popen[str]") -> None:
    """At Ctrl-C, a signal to the whole group, the servers still run; then the parent stops them."""
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]

    os.killpg(parent.pid, signal.SIGINT)

    assert parent.stdout.readline().split() == ["None", "None"]
    assert parent.wait(20) == 0
    assert not any(is_running(pid) for pid in pids)


def test_redis_writes_nothing_to_disk() -> None:
    """The server neither saves snapshots nor appends."""
    with EmbeddedRedis() as server, redis.Redis.from_url(server.url) as client:
        assert (client.config_get("save"), client.config_get("appendonly")) == ({"save": ""}, {"appendonly": "no"})


def test_a_given_port_is_used_again() -> None:
    """A test that crashes the server can bring it back where its clients look for it."""
    with EmbeddedRedis() as first:
        port = first.port

    with EmbeddedRedis(port) as second, redis.Redis.from_url(second.url) as client:
        assert (second.port, client.ping()) == (port, True)


def test_a_server_that_cannot_start_says_why() -> None:
    """A taken port is an error with the server's own words, and no process stays."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port()))

        with pytest.raises(EmbeddedServerError, match=r"(?s)EmbeddedRedis ended at once: .*in use"):
            EmbeddedRedis(taken.getsockname()[1]).__enter__()
