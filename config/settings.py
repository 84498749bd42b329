"""Settings of one process, from `LOANROUTER_*` environment variables (contract, section 7).

A variable that is unset or empty has its default. Passwords have variables of their own and appear in no error
and no repr.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit


class SettingsError(Exception):
    """A variable cannot be used: names the variable, what it must be, and why it is not. Never shows the value."""

    def __init__(self, variable: str, kind: str, reason: str) -> None:
        super().__init__(f"{variable} must be {kind}: {reason}")
        self.variable = variable


#: How consumers read: what a publisher's transaction took back was never published.
ISOLATION_LEVEL = "read_committed"


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process has to know of its surroundings. `VARIABLES` says which variable sets what."""

    kafka: str = "127.0.0.1:9092"
    redis: str = "redis://127.0.0.1:6379/0"
    config: Path = Path("config/rotation.yaml")
    topic_prefix: str = ""
    partitions: int = 8
    web_host: str = "127.0.0.1"
    web_port: int = 6066
    console_host: str = "127.0.0.1"
    console_port: int = 6065
    console_redis: str = ""
    """A Redis of the console's own; empty for the same as the workers'."""
    console_recorded: Path | None = None
    """Where the console's what-ifs take recorded traffic: a folder of `loanrouter export`; None for Kafka."""
    console_proxy_user: str = ""
    """The header in which a proxy before the console says who is logged in; empty: nobody is believed."""
    console_proxy_roles: str = ""
    """The header in which it says that person's roles; empty: they are kept in the console."""
    console_proxy_from: tuple[str, ...] = ("127.0.0.1",)
    """The addresses from which the proxy's word counts."""
    console_url: str = ""
    """A console by way of which the command line changes the configuration; empty: it writes to Kafka itself."""
    console_token: str | None = field(default=None, repr=False)
    data: Path = Path("data")
    cache_mb: int = 256
    standbys: int = 1
    """How many other workers keep a copy of a partition's tables, ready to take it over."""
    clock: Literal["wall", "stream"] = "wall"
    replication: int = 1
    session_timeout_seconds: int = 30
    ready_lag_seconds: int = 60
    log_level: str = "INFO"
    log_format: Literal["text", "json"] = "text"
    redis_password: str | None = field(default=None, repr=False)
    console_redis_password: str | None = field(default=None, repr=False)
    redis_ssl_cafile: Path | None = None
    """Of the authorities of both, where their URL asks for TLS; without it the system's."""
    kafka_idempotence: bool = True
    """Off only for a broker that has no idempotent producers, such as the embedded one."""
    kafka_security_protocol: str = "PLAINTEXT"
    kafka_sasl_mechanism: str = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = field(default=None, repr=False)
    kafka_ssl_cafile: Path | None = None
    kafka_ssl_certfile: Path | None = None
    kafka_ssl_keyfile: Path | None = None
    kafka_ssl_password: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read `env`; raises `SettingsError` for a value that cannot be used or that contradicts another."""
        values: dict[str, Any] = {}
        for variable in VARIABLES:
            text = env.get(variable.name, "")
            if text:
                try:
                    values[variable.field] = variable.parse(text)
                except ValueError as error:
                    raise SettingsError(variable.name, variable.kind, str(error)) from None
        settings = cls(**values)
        settings._check_kafka_security()
        settings._check_console()
        return settings

    def kafka_client_args(self) -> dict[str, Any]:
        """Keyword arguments for every aiokafka client; raises `SettingsError` when a TLS file cannot be loaded."""
        args: dict[str, Any] = {
            "bootstrap_servers": self.kafka,
            "security_protocol": self.kafka_security_protocol,
        }
        if self.kafka_security_protocol in ("SSL", "SASL_SSL"):
            args["ssl_context"] = self.kafka_ssl_context()
        if self.kafka_security_protocol.startswith("SASL_"):
            args["sasl_mechanism"] = self.kafka_sasl_mechanism
            args["sasl_plain_username"] = self.kafka_sasl_username
            args["sasl_plain_password"] = self.kafka_sasl_password
        return args

    def kafka_consumer_args(self) -> dict[str, Any]:
        """The same for a consumer."""
        return {**self.kafka_client_args(), "isolation_level": ISOLATION_LEVEL}

    def kafka_ssl_context(self) -> ssl.SSLContext:
        """TLS towards Kafka: the system's authorities unless a CA file is set; `SettingsError` for unusable files."""
        try:
            context = ssl.create_default_context(cafile=self.kafka_ssl_cafile)
            if self.kafka_ssl_certfile:
                context.load_cert_chain(
                    self.kafka_ssl_certfile, self.kafka_ssl_keyfile, lambda: self.kafka_ssl_password or ""
                )
        except (ssl.SSLError, OSError) as error:
            reason = (isinstance(error, ssl.SSLError) and error.reason) or error.strerror or "cannot be loaded"
            raise SettingsError("LOANROUTER_KAFKA_SSL_*", "PEM files and their password", reason) from None
        return context

    def redis_client_args(self) -> dict[str, Any]:
        """Keyword arguments for `redis.asyncio.Redis.from_url`."""
        return self._redis_client_args(self.redis, self.redis_password)

    def console_redis_client_args(self) -> dict[str, Any]:
        """The same for the console's own things."""
        if not self.console_redis:
            return self.redis_client_args()
        return self._redis_client_args(self.console_redis, self.console_redis_password)

    def _redis_client_args(self, url: str, password: str | None) -> dict[str, Any]:
        args: dict[str, Any] = {"url": url, "password": password}
        if self.redis_ssl_cafile is not None and url.startswith("rediss://"):
            args["ssl_ca_certs"] = str(self.redis_ssl_cafile)
        return args

    def environment(self) -> dict[str, str]:
        """The variables from which another process gets these settings. Holds the passwords."""
        texts = {
            variable.name: "" if (value := getattr(self, variable.field)) is None else str(value)
            for variable in VARIABLES
        }
        idempotence = "on" if self.kafka_idempotence else "off"
        return texts | {
            "LOANROUTER_WEB": self.web_address,
            "LOANROUTER_CONSOLE": self.console_address,
            "LOANROUTER_CONSOLE_PROXY_FROM": ",".join(self.console_proxy_from),
            "LOANROUTER_KAFKA_IDEMPOTENCE": idempotence,
        }

    @property
    def web_address(self) -> str:
        """`host:port` of the worker's pages."""
        return _address(self.web_host, self.web_port)

    @property
    def console_address(self) -> str:
        """`host:port` of the console."""
        return _address(self.console_host, self.console_port)

    def _check_kafka_security(self) -> None:
        sasl = self.kafka_security_protocol.startswith("SASL_")
        for variable, value in (
            ("LOANROUTER_KAFKA_SASL_USERNAME", self.kafka_sasl_username),
            ("LOANROUTER_KAFKA_SASL_PASSWORD", self.kafka_sasl_password),
        ):
            if sasl and value is None:
                raise SettingsError(variable, "set", "LOANROUTER_KAFKA_SECURITY_PROTOCOL asks for SASL")
            if not sasl and value is not None:
                raise SettingsError(variable, "unset", "LOANROUTER_KAFKA_SECURITY_PROTOCOL does not ask for SASL")

    def _check_console(self) -> None:
        if self.console_url and self.console_token is None:
            raise SettingsError("LOANROUTER_CONSOLE_TOKEN", "set", "LOANROUTER_CONSOLE_URL names a console")
        if self.console_proxy_roles and not self.console_proxy_user:
            raise SettingsError("LOANROUTER_CONSOLE_PROXY_USER", "set", "LOANROUTER_CONSOLE_PROXY_ROLES is")


class Variable(NamedTuple):
    """One environment variable: the field of `Settings` it sets and, in words, the values it takes."""

    name: str
    field: str
    kind: str
    parse: Callable[[str], Any]


_HOST_PORT = re.compile(r"^(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})$")


def _host_and_port(text: str) -> tuple[str, int]:
    match = _HOST_PORT.match(text)
    if match is None:
        raise ValueError("it has another form")
    port = int(match["port"])
    if not 1 <= port <= 65535:
        raise ValueError("the port is not between 1 and 65535")
    return match["host"].strip("[]"), port


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _brokers(text: str) -> str:
    for broker in text.split(","):
        _host_and_port(broker.strip())
    return text


def _redis_url(text: str) -> str:
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  # raises for a port that is none
    except ValueError:  # its message may hold the password
        raise ValueError("it is not a URL") from None
    if url.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("it does not begin with one of these")
    if url.password is not None or "password" in parse_qs(url.query):
        raise ValueError("it holds a password, which belongs in the variable of this name with _PASSWORD")
    return text


def _console_url(text: str) -> str:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("it does not begin with one of these and a host")
    if url.scheme == "http" and url.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("without TLS a token goes to this machine only")
    if url.username is not None or url.query or url.fragment:
        raise ValueError("it holds more than a host, a port and a path")
    return text


def _header_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", text):
        raise ValueError("it is too long or holds another character")
    return text


def _addresses(text: str) -> tuple[str, ...]:
    try:
        return tuple(str(ip_address(each.strip())) for each in text.split(","))
    except ValueError:
        raise ValueError("one of them is none") from None


def _token(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        raise ValueError("it holds a blank, or another character than those of tokens")
    return text


def _topic_prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", text):
        raise ValueError("it is too long or holds another character")
    return text


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise ValueError("it is not a whole number")
        if not low <= int(text) <= high:
            raise ValueError("it is out of range")
        return int(text)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError("it is none of these")
        return text

    return parse


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise ValueError("there is no such folder")
    return Path(text)


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError("there is no such file")
    return Path(text)


_on_or_off = _one_of("on", "off")

VARIABLES = (
    Variable("LOANROUTER_KAFKA", "kafka", "host:port, or several with commas between", _brokers),
    Variable("LOANROUTER_REDIS", "redis", "a URL redis://, rediss:// or unix://", _redis_url),
    Variable("LOANROUTER_CONFIG", "config", "the path of the first rotation configuration", Path),
    Variable(
        "LOANROUTER_TOPIC_PREFIX", "topic_prefix", "at most 100 letters, digits, dots, lines or hyphens", _topic_prefix
    ),
    Variable("LOANROUTER_PARTITIONS", "partitions", "a whole number from 1 to 1000", _whole_number(1, 1000)),
    Variable("LOANROUTER_WEB", "web_host", "host:port", lambda text: _host_and_port(text)[0]),
    Variable("LOANROUTER_WEB", "web_port", "host:port", lambda text: _host_and_port(text)[1]),
    Variable("LOANROUTER_CONSOLE", "console_host", "host:port", lambda text: _host_and_port(text)[0]),
    Variable("LOANROUTER_CONSOLE", "console_port", "host:port", lambda text: _host_and_port(text)[1]),
    Variable("LOANROUTER_CONSOLE_REDIS", "console_redis", "a URL redis://, rediss:// or unix://", _redis_url),
    Variable("LOANROUTER_CONSOLE_RECORDED", "console_recorded", "a folder that `loanrouter export` wrote", _folder),
    Variable(
        "LOANROUTER_CONSOLE_PROXY_USER",
        "console_proxy_user",
        "the name of a header: at most 64 letters, digits or hyphens",
        _header_name,
    ),
    Variable(
        "LOANROUTER_CONSOLE_PROXY_ROLES",
        "console_proxy_roles",
        "the name of a header: at most 64 letters, digits or hyphens",
        _header_name,
    ),
    Variable(
        "LOANROUTER_CONSOLE_PROXY_FROM", "console_proxy_from", "IP addresses with commas between them", _addresses
    ),
    Variable("LOANROUTER_CONSOLE_URL", "console_url", "a URL https://, or http:// of this machine", _console_url),
    Variable("LOANROUTER_DATA", "data", "the path of the folder for local state", Path),
    Variable("LOANROUTER_CACHE_MB", "cache_mb", "a whole number of MB from 16 to 100000", _whole_number(16, 100_000)),
    Variable("LOANROUTER_STANDBYS", "standbys", "a whole number from 0 to 8", _whole_number(0, 8)),
    Variable("LOANROUTER_CLOCK", "clock", "wall or stream", _one_of("wall", "stream")),
    Variable("LOANROUTER_REPLICATION", "replication", "a whole number from 1 to 9", _whole_number(1, 9)),
    Variable(
        "LOANROUTER_SESSION_TIMEOUT_SECONDS",
        "session_timeout_seconds",
        "a whole number of seconds from 1 to 1800",
        _whole_number(1, 1800),
    ),
    Variable(
        "LOANROUTER_READY_LAG_SECONDS",
        "ready_lag_seconds",
        "a whole number of seconds from 1 to 86400",
        _whole_number(1, 86_400),
    ),
    Variable(
        "LOANROUTER_LOG_LEVEL",
        "log_level",
        "DEBUG, INFO, WARNING or ERROR",
        _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    ),
    Variable("LOANROUTER_LOG_FORMAT", "log_format", "text or json", _one_of("text", "json")),
    Variable("LOANROUTER_REDIS_PASSWORD", "redis_password", "a password", str),
    Variable("LOANROUTER_CONSOLE_REDIS_PASSWORD", "console_redis_password", "a password", str),
    Variable("LOANROUTER_CONSOLE_TOKEN", "console_token", "a token of the console", _token),
    Variable("LOANROUTER_REDIS_SSL_CAFILE", "redis_ssl_cafile", "the path of a PEM file", _file),
    Variable("LOANROUTER_KAFKA_IDEMPOTENCE", "kafka_idempotence", "on or off", lambda text: _on_or_off(text) == "on"),
    Variable(
        "LOANROUTER_KAFKA_SECURITY_PROTOCOL",
        "kafka_security_protocol",
        "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
        _one_of("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
    ),
    Variable(
        "LOANROUTER_KAFKA_SASL_MECHANISM",
        "kafka_sasl_mechanism",
        "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        _one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    ),
    Variable("LOANROUTER_KAFKA_SASL_USERNAME", "kafka_sasl_username", "a user name", str),
    Variable("LOANROUTER_KAFKA_SASL_PASSWORD", "kafka_sasl_password", "a password", str),
    Variable("LOANROUTER_KAFKA_SSL_CAFILE", "kafka_ssl_cafile", "the path of a PEM file", _file),
    Variable("LOANROUTER_KAFKA_SSL_CERTFILE", "kafka_ssl_certfile", "the path of a PEM file", _file),
    Variable("LOANROUTER_KAFKA_SSL_KEYFILE", "kafka_ssl_keyfile", "the path of a PEM file", _file),
    Variable("LOANROUTER_KAFKA_SSL_PASSWORD", "kafka_ssl_password", "the password of the key file", str),
)
