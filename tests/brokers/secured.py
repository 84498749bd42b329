"""An Apache Kafka that asks who its clients are, with certificates made here, and lets them do what they may."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import trustme
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from config.settings import Settings
from streams.embedded import LOOPBACK, free_port
from tests.brokers.apache import ApacheKafka

ADMIN, WORKER, PERSON = "admin", "worker", "person"
USERS = (ADMIN, WORKER, PERSON)
SECRET = "a-kafka-secret"  # noqa: S105  # of a broker that lives as long as the tests

_TYPES = {"Topic": 2, "Group": 3, "Cluster": 4}
_OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Alter": 7, "Describe": 8, "DescribeConfigs": 10, "AlterConfigs": 11}
_LITERAL, _PREFIXED, _ALLOW = 3, 4, 3


class Acl(NamedTuple):
    """That somebody may do one operation on one resource, or with a `*` at its end on all that are named so."""

    user: str
    type: str
    name: str
    operation: str


class SecuredKafka(ApacheKafka):
    """Apache Kafka with SASL_SSL, with TLS that wants a client's certificate, and with access lists.

    On `bootstrap` everybody is let in, and may do anything: for what a test does itself. `ADMIN` may do anything too,
    the others only what they are allowed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sasl_port = free_port()
        self._tls_port = free_port()
        authority = trustme.CA()
        self.cafile = self.home / "ca.pem"
        authority.cert_pem.write_to_path(str(self.cafile))
        self._server = self._written(authority.issue_cert(LOOPBACK), "server")
        self._client = self._written(authority.issue_cert("worker.example", common_name=WORKER), "client")

    def sasl(self, settings: Settings, user: str, mechanism: str = "SCRAM-SHA-512") -> Settings:
        """The same settings of a process that logs in as `user`."""
        return replace(
            settings,
            kafka=f"{LOOPBACK}:{self._sasl_port}",
            kafka_security_protocol="SASL_SSL",
            kafka_sasl_mechanism=mechanism,
            kafka_sasl_username=user,
            kafka_sasl_password=SECRET,
            kafka_ssl_cafile=self.cafile,
        )

    def mutual_tls(self, settings: Settings) -> Settings:
        """The same settings of a process that is known by its certificate, as `WORKER`."""
        return replace(
            settings,
            kafka=f"{LOOPBACK}:{self._tls_port}",
            kafka_security_protocol="SSL",
            kafka_ssl_cafile=self.cafile,
            kafka_ssl_certfile=self._client,
        )

    async def allow(self, acls: Iterable[Acl]) -> None:
        """Add these to what is allowed."""
        async with self._admin() as admin:
            for acl in acls:
                answer = await admin._send_request(CreateAclsRequest(*_numbers(acl)))
                assert answer.creation_responses[0][0] == 0, answer

    async def forbid(self, acl: Acl) -> None:
        """Take it back."""
        async with self._admin() as admin:
            answer = await admin._send_request(DeleteAclsRequest(*_numbers(acl)))
            assert len(answer.filter_responses[0][2]) == 1, answer

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    def _more_properties(self) -> str:
        sasl, tls = f"SASL_SSL://{LOOPBACK}:{self._sasl_port}", f"SSL://{LOOPBACK}:{self._tls_port}"
        everybody = f"PLAINTEXT://{self.bootstrap}"
        modules = "org.apache.kafka.common.security"
        users = " ".join(f'user_{user}="{SECRET}"' for user in USERS)
        return f"""
            listeners={everybody},{sasl},{tls},CONTROLLER://{LOOPBACK}:{self.controller_port}
            advertised.listeners={everybody},{sasl},{tls}
            listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT
            sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
            listener.name.sasl_ssl.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required {users};
            listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={modules}.scram.ScramLoginModule required;
            ssl.keystore.type=PEM
            ssl.keystore.location={self._server}
            ssl.truststore.type=PEM
            ssl.truststore.location={self.cafile}
            listener.name.ssl.ssl.client.auth=required
            ssl.principal.mapping.rules=RULE:^.*CN=([^,]+).*$/$1/
            authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
            super.users=User:ANONYMOUS;User:{ADMIN}
            """

    def _users(self) -> list[str]:
        return [part for user in USERS for part in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={SECRET}]")]

    def _written(self, certificate: trustme.LeafCert, name: str) -> Path:
        """A file with the key, in the form that Java reads, and the certificate."""
        key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
        file = self.home / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + certificate.cert_chain_pems[0].bytes()
        )
        return file


def _numbers(acl: Acl) -> tuple[int, str, int, str, str, int, int]:
    principal = f"User:{acl.user}"
    pattern = _PREFIXED if acl.name.endswith("*") else _LITERAL
    return (_TYPES[acl.type], acl.name.rstrip("*"), pattern, principal, "*", _OPERATIONS[acl.operation], _ALLOW)
