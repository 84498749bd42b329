"""Apache Kafka 4.3.1, one node or three in KRaft mode, without a container: jars from Maven, the machine's Java 17."""

import asyncio
import base64
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.embedded import LOOPBACK, die_with_parent, free_port
from tests.brokers.maven import BrokerError, jars, run, tool

_POM = Path(__file__).with_name("pom.xml")
_START_SECONDS = 60
_STOP_SECONDS = 30
_HEAP = ("-Xms256m", "-Xmx1g")


class ApacheKafka:
    """A broker from `with` to its end; data directory and port stay the same from one start to the next.

    The process ends with the thread that started it, however that ends.
    """

    def __init__(self, cluster: "ApacheCluster | None" = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="loanrouter-kafka-"))
        self._properties = self.home / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self._cluster = cluster
        self.port = free_port()
        self.controller_port = free_port()

    def __enter__(self) -> Self:
        try:
            self.format()
            self.start()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def bootstrap(self) -> str:
        """For `LOANROUTER_KAFKA`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        return self._running().pid

    def start(self) -> None:
        """Start the broker on its old data and wait until it serves a client; `BrokerError` after 60 seconds."""
        self.begin()
        self.wait_until_it_serves()

    def begin(self) -> None:
        """Start the broker on its old data."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_java(), "kafka.Kafka", str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )

    def stop(self) -> None:
        """Stop as an operator would, with SIGTERM; killed if it takes longer than 30 seconds."""
        process = self._running()
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._process = None

    def kill(self) -> None:
        """Crash it: SIGKILL."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def pause(self) -> None:
        """Freeze it: SIGSTOP; clients see a broker that accepts and never answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`, and wait until a client is served: the controller may have given it up meanwhile."""
        os.kill(self.pid, signal.SIGCONT)
        self.wait_until_it_serves()

    def restart(self) -> None:
        """`stop` and `start`."""
        self.stop()
        self.start()

    @property
    def _log(self) -> Path:
        return self.home / "broker.log"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerError("Apache Kafka is not running")
        return self._process

    def format(self) -> None:
        """Make its data directory."""
        nodes = self._cluster.nodes if self._cluster is not None else [self]
        voters = ",".join(f"{number}@{LOOPBACK}:{node.controller_port}" for number, node in enumerate(nodes, 1))
        self._properties.write_text(
            f"""
            process.roles=broker,controller
            node.id={nodes.index(self) + 1}
            controller.quorum.voters={voters}
            controller.listener.names=CONTROLLER
            listeners=PLAINTEXT://{self.bootstrap},CONTROLLER://{LOOPBACK}:{self.controller_port}
            advertised.listeners=PLAINTEXT://{self.bootstrap}
            log.dirs={self.home / "data"}
            offsets.topic.replication.factor={len(nodes)}
            offsets.topic.num.partitions=5
            transaction.state.log.replication.factor={len(nodes)}
            transaction.state.log.min.isr=1
            group.initial.rebalance.delay.ms=0
            broker.session.timeout.ms=3000
            broker.heartbeat.interval.ms=500
            group.min.session.timeout.ms=1000
            log.cleaner.dedupe.buffer.size=33554432
            {self._more_properties()}
            """
        )
        cluster = self._cluster.cluster_id if self._cluster is not None else _cluster_id()
        known = ["format", f"--cluster-id={cluster}", "-c", str(self._properties), *self._users()]
        run([*_java(), "kafka.tools.StorageTool", *known])

    def _more_properties(self) -> str:
        """Further lines of its properties, which win over those before."""
        return ""

    def _users(self) -> list[str]:
        """Arguments that give the users it knows from the beginning."""
        return []

    def wait_until_it_serves(self) -> None:
        """Wait until it serves a client; `BrokerError` after 60 seconds."""
        process = self._running()
        deadline = time.monotonic() + _START_SECONDS
        while not asyncio.run(self._serves()):
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"Apache Kafka does not serve: {self._log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.1)

    async def _serves(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=2000)
        try:
            await admin.start()
            await admin.find_coordinator("any")  # waits for the group coordinator too
        except KafkaError:
            return False
        finally:
            await admin.close()
        return True

    def remove(self) -> None:
        """Kill it if it runs, and delete its data."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.home)


class ApacheCluster:
    """Three brokers from `with` to its end, each with a replica of what is created with replication 3."""

    def __init__(self) -> None:
        self.cluster_id = _cluster_id()
        self.nodes: list[ApacheKafka] = []
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as made:
            for _ in range(3):
                node = ApacheKafka(self)
                made.callback(node.remove)
                self.nodes.append(node)
            for node in self.nodes:
                node.format()
                node.begin()  # none of them serves before two of them run
            for node in self.nodes:
                node.wait_until_it_serves()
            self._running = made.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @property
    def bootstrap(self) -> str:
        """For `LOANROUTER_KAFKA`."""
        return ",".join(node.bootstrap for node in self.nodes)


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _java() -> list[str]:
    return [tool("java"), *_HEAP, "-XX:+UseG1GC", "-cp", f"{jars(_POM, 'kafka/4.3.1')}/*"]
