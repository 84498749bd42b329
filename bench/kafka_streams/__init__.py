"""The rule on Kafka Streams: fetched through Maven, compiled by javac, both once."""

from hashlib import sha256
from pathlib import Path

from tests.brokers.maven import jars, made_once, run, tool

_SOURCE = Path(__file__).with_name("Rule.java")
_HEAP = "-Xmx1g"


def command() -> list[str]:
    """The command that runs the engine; raises `BrokerError` without Java 17 and Maven."""
    libraries = f"{jars(Path(__file__).with_name('pom.xml'), 'kafka-streams/4.3.1')}/*"
    version = sha256(_SOURCE.read_bytes()).hexdigest()[:12]

    def compile_into(folder: Path) -> None:
        run([tool("javac"), "-cp", libraries, "-d", str(folder), str(_SOURCE)])

    classes = made_once(f"kafka-streams/classes-{version}", compile_into)
    return [tool("java"), _HEAP, "-cp", f"{classes}:{libraries}", "Rule"]
