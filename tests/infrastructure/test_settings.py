"""Settings come from the environment, wrong ones are refused by name, and no secret is ever shown."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from config.settings import VARIABLES, Settings, SettingsError

DEFAULTS: dict[str, Any] = {
    "kafka": "127.0.0.1:9092",
    "redis": "redis://127.0.0.1:6379/0",
    "config": Path("config/rotation.yaml"),
    "topic_prefix": "",
    "partitions": 8,
    "web_host": "127.0.0.1",
    "web_port": 6066,
    "data": Path("./data"),
    "clock": "wall",
}

ACCEPTED = [
    ("LOANROUTER_KAFKA", "a.example:9092,[::1]:9093", {"kafka": "a.example:9092,[::1]:9093"}),
    ("LOANROUTER_REDIS", "rediss://user@r.example:6380/3", {"redis": "rediss://user@r.example:6380/3"}),
    ("LOANROUTER_CONFIG", "/etc/rotation.yaml", {"config": Path("/etc/rotation.yaml")}),
    ("LOANROUTER_TOPIC_PREFIX", "team-1.", {"topic_prefix": "team-1."}),
    ("LOANROUTER_PARTITIONS", "32", {"partitions": 32}),
    ("LOANROUTER_WEB", "0.0.0.0:80", {"web_host": "0.0.0.0", "web_port": 80}),  # noqa: S104  # as in a container
    ("LOANROUTER_CONSOLE", "[::1]:80", {"console_host": "::1", "console_port": 80}),
    ("LOANROUTER_CONSOLE_REDIS", "redis://c.example:6380/1", {"console_redis": "redis://c.example:6380/1"}),
    ("LOANROUTER_CONSOLE_RECORDED", "/", {"console_recorded": Path("/")}),
    ("LOANROUTER_CONSOLE_PROXY_USER", "X-Forwarded-User", {"console_proxy_user": "X-Forwarded-User"}),
    ("LOANROUTER_CONSOLE_PROXY_FROM", "10.0.0.1, ::1", {"console_proxy_from": ("10.0.0.1", "::1")}),
    ("LOANROUTER_CONSOLE_TOKEN", "lr_t", {"console_token": "lr_t"}),
    ("LOANROUTER_DATA", "/var/lib/x", {"data": Path("/var/lib/x")}),
    ("LOANROUTER_CACHE_MB", "1024", {"cache_mb": 1024}),
    ("LOANROUTER_STANDBYS", "0", {"standbys": 0}),
    ("LOANROUTER_CLOCK", "stream", {"clock": "stream"}),
    ("LOANROUTER_REPLICATION", "3", {"replication": 3}),
    ("LOANROUTER_SESSION_TIMEOUT_SECONDS", "4", {"session_timeout_seconds": 4}),
    ("LOANROUTER_READY_LAG_SECONDS", "5", {"ready_lag_seconds": 5}),
    ("LOANROUTER_LOG_LEVEL", "WARNING", {"log_level": "WARNING"}),
    ("LOANROUTER_LOG_FORMAT", "json", {"log_format": "json"}),
    ("LOANROUTER_KAFKA_IDEMPOTENCE", "off", {"kafka_idempotence": False}),
]

REFUSED = [
    ("LOANROUTER_KAFKA", "kafka://127.0.0.1:9092"),
    ("LOANROUTER_KAFKA", "127.0.0.1"),
    ("LOANROUTER_KAFKA", "127.0.0.1:9092,,"),
    ("LOANROUTER_KAFKA", "127.0.0.1:99999"),
    ("LOANROUTER_REDIS", "http://127.0.0.1"),
    ("LOANROUTER_REDIS", "redis://127.0.0.1:port/0"),
    ("LOANROUTER_REDIS", "redis://["),
    ("LOANROUTER_CONSOLE_REDIS", "http://127.0.0.1"),
    ("LOANROUTER_CONSOLE_RECORDED", "/dev/null"),
    ("LOANROUTER_CONSOLE_PROXY_USER", "X Forwarded"),
    ("LOANROUTER_CONSOLE_PROXY_FROM", "proxy.example"),
    ("LOANROUTER_CONSOLE_URL", "console.example"),
    ("LOANROUTER_CONSOLE_URL", "http://console.example"),
    ("LOANROUTER_CONSOLE_URL", "https://user:secret@console.example"),
    ("LOANROUTER_CONSOLE_TOKEN", "lr t"),
    ("LOANROUTER_TOPIC_PREFIX", "a/b"),
    ("LOANROUTER_TOPIC_PREFIX", "a" * 101),
    ("LOANROUTER_PARTITIONS", "0"),
    ("LOANROUTER_PARTITIONS", "8.0"),
    ("LOANROUTER_PARTITIONS", "eight"),
    ("LOANROUTER_CACHE_MB", "15"),
    ("LOANROUTER_STANDBYS", "9"),
    ("LOANROUTER_WEB", "6066"),
    ("LOANROUTER_WEB", "127.0.0.1:0"),
    ("LOANROUTER_CONSOLE", "127.0.0.1"),
    ("LOANROUTER_CLOCK", "Wall"),
    ("LOANROUTER_REPLICATION", "-1"),
    ("LOANROUTER_SESSION_TIMEOUT_SECONDS", "0"),
    ("LOANROUTER_READY_LAG_SECONDS", "0"),
    ("LOANROUTER_LOG_LEVEL", "loud"),
    ("LOANROUTER_LOG_FORMAT", "xml"),
    ("LOANROUTER_KAFKA_IDEMPOTENCE", "false"),
    ("LOANROUTER_KAFKA_SECURITY_PROTOCOL", "TLS"),
    ("LOANROUTER_KAFKA_SASL_MECHANISM", "GSSAPI"),
    ("LOANROUTER_KAFKA_SSL_CAFILE", "/no/such/file"),
]

SASL = {
    "LOANROUTER_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "LOANROUTER_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "LOANROUTER_KAFKA_SASL_USERNAME": "router",
    "LOANROUTER_KAFKA_SASL_PASSWORD": "kafka-secret",
}


def test_an_empty_environment_gives_the_contract_s_defaults() -> None:
    """Without variables, and with empty ones, every setting of the contract has its documented default."""
    settings = Settings.from_env({variable.name: "" for variable in VARIABLES})

    assert {name: getattr(settings, name) for name in DEFAULTS} == DEFAULTS
    assert settings == Settings.from_env({}) == Settings()


@pytest.mark.parametrize(("name", "text", "fields"), ACCEPTED)
def test_each_variable_sets_its_field(name: str, text: str, fields: dict[str, Any]) -> None:
    """A good value reaches its field and no other."""
    settings = Settings.from_env({name: text})

    changed = {f: getattr(settings, f) for f in Settings.__slots__ if getattr(settings, f) != getattr(Settings(), f)}
    assert changed == fields


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_a_wrong_value_is_refused_by_name_and_not_repeated(name: str, text: str) -> None:
    """The error names the variable and what it must be; the value, which may be a misplaced secret, stays out."""
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env({name: text})

    kind = next(variable.kind for variable in VARIABLES if variable.name == name)
    assert str(refusal.value).startswith(f"{name} must be {kind}: ")
    assert text not in str(refusal.value).removeprefix(f"{name} must be {kind}")


@pytest.mark.parametrize(
    "url", ["redis://:redis-secret@h/0", "redis://h/0?password=redis-secret", "redis://:redis-secret@[/0"]
)
def test_a_password_in_the_redis_url_is_refused_without_showing_it(url: str) -> None:
    """Passwords have variables of their own, so that a URL may be logged."""
    with pytest.raises(SettingsError) as refusal:
        Settings.from_env({"LOANROUTER_REDIS": url})

    assert "redis-secret" not in str(refusal.value)


def test_repr_hides_every_password() -> None:
    """Settings may be logged whole."""
    secrets = [variable.name for variable in VARIABLES if variable.name.endswith("_PASSWORD")]

    settings = Settings.from_env(SASL | dict.fromkeys(secrets, "the-secret"))

    kafka = {settings.kafka_sasl_password, settings.kafka_ssl_password}
    assert {settings.redis_password, settings.console_redis_password, *kafka} == {"the-secret"}
    assert len(secrets) == 4
    assert "the-secret" not in repr(settings)


def test_redis_password_reaches_the_client() -> None:
    """The password travels beside the URL."""
    settings = Settings.from_env({"LOANROUTER_REDIS_PASSWORD": "s", "LOANROUTER_REDIS": "redis://h/1"})

    assert settings.redis_client_args() == {"url": "redis://h/1", "password": "s"}


def test_redis_authorities_reach_the_client(tmp_path: Path) -> None:
    """For a URL that asks for TLS; the client refuses them for another."""
    file = tmp_path / "ca.pem"
    file.touch()
    common = {"LOANROUTER_REDIS_SSL_CAFILE": str(file), "LOANROUTER_CONSOLE_REDIS": "redis://c/2"}

    settings = Settings.from_env(common | {"LOANROUTER_REDIS": "rediss://h/1"})

    assert settings.redis_client_args() == {"url": "rediss://h/1", "password": None, "ssl_ca_certs": str(file)}
    assert settings.console_redis_client_args() == {"url": "redis://c/2", "password": None}


def test_the_console_has_the_same_redis_unless_it_is_given_its_own() -> None:
    """With the password of that one."""
    shared = {"LOANROUTER_REDIS": "redis://h/1", "LOANROUTER_REDIS_PASSWORD": "s"}
    own = {"LOANROUTER_CONSOLE_REDIS": "redis://c/2", "LOANROUTER_CONSOLE_REDIS_PASSWORD": "t"}

    assert Settings.from_env(shared).console_redis_client_args() == {"url": "redis://h/1", "password": "s"}
    assert Settings.from_env(shared | own).console_redis_client_args() == {"url": "redis://c/2", "password": "t"}
    assert Settings.from_env(shared | own).redis_client_args() == {"url": "redis://h/1", "password": "s"}


def test_sasl_reaches_the_kafka_client() -> None:
    """A SASL protocol hands mechanism, user and password to aiokafka."""
    assert Settings.from_env(SASL).kafka_client_args() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "router",
        "sasl_plain_password": "kafka-secret",
    }


@pytest.mark.parametrize("missing", ["LOANROUTER_KAFKA_SASL_USERNAME", "LOANROUTER_KAFKA_SASL_PASSWORD"])
def test_sasl_without_credentials_is_refused(missing: str) -> None:
    """A protocol with SASL names the variable it still needs."""
    with pytest.raises(SettingsError, match=missing):
        Settings.from_env({name: text for name, text in SASL.items() if name != missing})


def test_credentials_without_sasl_are_refused() -> None:
    """Credentials that would silently not be used are a mistake."""
    with pytest.raises(SettingsError, match="LOANROUTER_KAFKA_SASL_USERNAME"):
        Settings.from_env(SASL | {"LOANROUTER_KAFKA_SECURITY_PROTOCOL": "SSL"})


def test_tls_verifies_the_broker() -> None:
    """TLS always checks certificate and host name."""
    context = Settings.from_env({"LOANROUTER_KAFKA_SECURITY_PROTOCOL": "SSL"}).kafka_client_args()["ssl_context"]

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_unusable_tls_file_is_a_settings_error(tmp_path: Path) -> None:
    """A file that is no certificate is told as a wrong setting."""
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    env = {"LOANROUTER_KAFKA_SECURITY_PROTOCOL": "SSL", "LOANROUTER_KAFKA_SSL_CAFILE": str(broken)}

    with pytest.raises(SettingsError, match="LOANROUTER_KAFKA_SSL"):
        Settings.from_env(env).kafka_client_args()
