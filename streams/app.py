"""The Faust application: batched agents, tables by partition, quick start, and a crash that is one.

Built on overrides of faust-streaming 0.15.3 and aiokafka 0.14.0 internals (`streams.consumer`, `producer`, `recovery`,
`lease`, `table`); other versions are refused when an app is made.
"""

import importlib.metadata
import logging
from collections.abc import Callable, Sequence
from typing import Any, cast

import faust
from faust.auth import Credentials, SSLCredentials
from faust.transport.drivers.aiokafka import Transport
from faust.types import AgentT
from mode import CrashingSupervisor

from config.settings import Settings
from streams.agent import AgentBody, BatchAgent
from streams.consumer import BatchConsumer
from streams.partition import Mark
from streams.producer import BATCH_BYTES, BatchProducer
from streams.readiness import Readiness
from streams.recovery import QuickTableManager
from streams.store import Store
from streams.table import PartitionedTable
from streams.topics import app_id, topic_name

PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}
FETCH_BYTES = 512 * 1024  # of one partition in one fetch: bounds a batch, and with it the work lost at a rebalance
DAY_SECONDS = 86_400.0


class BatchTransport(Transport):
    """The aiokafka transport with our consumer and producer."""

    Consumer = BatchConsumer
    Producer = BatchProducer


class InputTopics(faust.Topic):
    """What an agent reads: several topics. Nothing is sent to it, so its name is for people: `faust agents`."""

    def get_topic_name(self) -> str:
        """All names."""
        return ", ".join(self.topics)


class LoanrouterApp(faust.App):
    """A Faust application whose agents read batches. Make it with `create_app`."""

    consumer: BatchConsumer
    producer: BatchProducer

    def __init__(self, settings: Settings) -> None:
        check_versions()
        self.settings = settings
        self.store = Store(settings.data / "tables", settings.cache_mb)
        self.batch_agents: dict[str, BatchAgent] = {}
        self.readiness = Readiness(self)
        session = float(settings.session_timeout_seconds)
        super().__init__(
            app_id(settings),
            broker=[f"aiokafka://{host}" for host in settings.kafka.split(",")],
            broker_credentials=_credentials(settings),
            datadir=str(settings.data),
            Table=PartitionedTable,
            Topic=InputTopics,
            TableManager=QuickTableManager,
            agent_supervisor=CrashingSupervisor,
            broker_session_timeout=session,
            broker_heartbeat_interval=min(3.0, session / 4),
            broker_rebalance_timeout=max(session, 10.0),
            broker_request_timeout=max(session, 40.0),
            broker_max_poll_interval=DAY_SECONDS,  # Redis may be away for long; readiness tells, not the group
            broker_commit_interval=1.0,
            consumer_max_fetch_size=FETCH_BYTES,
            consumer_auto_offset_reset="earliest",
            producer_max_batch_size=BATCH_BYTES,
            producer_acks=-1,
            table_standby_replicas=settings.standbys,
            topic_partitions=settings.partitions,
            topic_replication_factor=settings.replication,
            topic_disable_leader=True,
            topic_allow_declare=False,  # they are there before the application is, and no worker may create any
            web_host=settings.web_address.rpartition(":")[0],  # it makes URLs of that
            web_bind=settings.web_host,
            web_port=settings.web_port,
            web_tables_enabled=False,
            web_stats_enabled=False,
            web_graph_enabled=False,
            web_router_enabled=False,
            web_metrics_enabled=False,
        )
        self.readiness.add_pages()

    def batch_agent(
        self, name: str, *, topics: Sequence[str], table: str, mark: Mark | None = None
    ) -> Callable[[AgentBody], AgentT[Any]]:
        """Register `async def agent(batches)` as a Faust agent over `topics` (without prefix), with a table of its own.

        The order of `topics` decides which of two records with equal timestamps comes first. `mark` gives a number
        that is kept in memory for the records that have one, so that nobody has to read all to find them; a change of
        what it gives needs a new `streams.store.FORMAT`.
        """
        names = tuple(topic_name(self.settings, topic) for topic in topics)
        kept = cast(PartitionedTable, self.Table(table, mark=mark))
        agent = BatchAgent(name, names, kept, grace=self.settings.session_timeout_seconds / 8)

        def register(fun: AgentBody) -> AgentT[Any]:
            self.batch_agents[name] = agent
            channel = self.topic(*names, key_type=bytes, value_type=bytes, acks=False)
            return self.agent(channel, name=name, concurrency=1)(cast(Any, agent.body(fun)))

        return register

    def request_tick(self) -> None:
        """Have each agent get one batch without records as soon as it is free, with the partitions where none waits."""
        for agent in self.batch_agents.values():
            agent.tick.set()

    async def on_start(self) -> None:
        """Call when the app starts; refuses to start without agents."""
        if not self.batch_agents:
            raise RuntimeError("the application has no agents: wrong module, or a worker that would only look alive")
        await super().on_start()

    def _create_directories(self) -> None:
        self.settings.data.mkdir(parents=True, exist_ok=True)
        super()._create_directories()

    async def _on_agent_error(self, agent: AgentT[Any], exc: BaseException) -> None:
        await self.crash(exc)

    def _new_transport(self) -> Transport:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return BatchTransport(self.conf.broker_producer, self)


def create_app(settings: Settings) -> LoanrouterApp:
    """An application without agents yet, with quiet libraries."""
    for name in ("faust", "aiokafka", "mode"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return LoanrouterApp(settings)


def _credentials(settings: Settings) -> Credentials | None:
    """How the library's own clients authenticate: as all others do, in its words."""
    args = settings.kafka_client_args()
    if "sasl_mechanism" in args:
        return faust.SASLCredentials(
            mechanism=args["sasl_mechanism"],
            username=args["sasl_plain_username"],
            password=args["sasl_plain_password"],
            ssl_context=args.get("ssl_context"),
        )
    return SSLCredentials(args["ssl_context"]) if "ssl_context" in args else None


def check_versions() -> None:
    """Raise `RuntimeError` unless the libraries are those whose internals are overridden here."""
    for package, pinned in PINNED.items():
        found = importlib.metadata.version(package)
        if found != pinned:
            raise RuntimeError(f"{package} is {found}, but streams/ overrides internals of {pinned}")
