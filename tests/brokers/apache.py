"""Apache Kafka 4.3.1, one node in KRaft mode, without a container: jars from Maven, Java 17 from the machine."""

import asyncio
import base64
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
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

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="loanrouter-kafka-"))
        self._properties = self._home / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def __enter__(self) -> Self:
        try:
            self._format()
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

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
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_java(), "kafka.Kafka", str(self._properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )
        self._wait_until_it_serves()

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
        self._wait_until_it_serves()

    def restart(self) -> None:
        """`stop` and `start`."""
        self.stop()
        self.start()

    @property
    def _log(self) -> Path:
        return self._home / "broker.log"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise BrokerError("Apache Kafka is not running")
        return self._process

    def _format(self) -> None:
        controller = free_port()
        self._properties.write_text(
            f"""
            process.roles=broker,controller
            node.id=1
            controller.quorum.voters=1@{LOOPBACK}:{controller}
            controller.listener.names=CONTROLLER
            listeners=PLAINTEXT://{self.bootstrap},CONTROLLER://{LOOPBACK}:{controller}
            advertised.listeners=PLAINTEXT://{self.bootstrap}
            log.dirs={self._home / "data"}
            offsets.topic.replication.factor=1
            offsets.topic.num.partitions=5
            transaction.state.log.replication.factor=1
            transaction.state.log.min.isr=1
            group.initial.rebalance.delay.ms=0
            broker.session.timeout.ms=3000
            broker.heartbeat.interval.ms=500
            group.min.session.timeout.ms=1000
            log.cleaner.dedupe.buffer.size=33554432
            """
        )
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        run([*_java(), "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._properties)])

    def _wait_until_it_serves(self) -> None:
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

    def _remove(self) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self._home)


def _java() -> list[str]:
    return [tool("java"), *_HEAP, "-XX:+UseG1GC", "-cp", f"{jars(_POM, 'kafka/4.3.1')}/*"]
