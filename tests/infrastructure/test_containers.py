"""The container files say what they promise: loopback only, unprivileged, watched, in order, nothing left out."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import VARIABLES, Settings

ROOT = Path(__file__).parents[2]
_DEFAULTED = re.compile(r"\$\{\w+:-(.*?)\}")


def has_compose() -> bool:
    """Whether this machine has the docker compose plugin."""
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


def interpolated(value: Any) -> Any:
    """The document with the defaults of its variables filled in, as compose does in an empty environment."""
    if isinstance(value, dict):
        return {key: interpolated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item) for item in value]
    return _DEFAULTED.sub(r"\1", value) if isinstance(value, str) else value


@pytest.fixture
def compose() -> dict[str, Any]:
    """The compose file; where docker compose is present, it has accepted it without a warning."""
    file = ROOT / "docker-compose.yml"
    if has_compose():
        done = subprocess.run(["docker", "compose", "-f", str(file), "config"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
    document: dict[str, Any] = interpolated(yaml.safe_load(file.read_text()))
    return document


def test_the_services_start_in_order(compose: dict[str, Any]) -> None:
    """Topics wait for a healthy Kafka; workers for Kafka, Redis and the finished topics."""
    services = compose["services"]
    conditions = {
        name: {other: waits["condition"] for other, waits in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }

    assert conditions == {
        "kafka": {},
        "redis": {},
        "topics": {"kafka": "service_healthy"},
        "worker": {
            "kafka": "service_healthy",
            "redis": "service_healthy",
            "topics": "service_completed_successfully",
        },
        "synthetic": {"topics": "service_completed_successfully"},
        "prometheus": {},
        "alertmanager": {},
        "grafana": {"prometheus": "service_started"},
        "console": {
            "kafka": "service_healthy",
            "redis": "service_healthy",
            "topics": "service_completed_successfully",
        },
    }
    assert all("healthcheck" in services[name] for name in ("kafka", "redis", "worker", "console"))
    assert services["kafka"]["image"] == "apache/kafka:4.3.1"


def test_workers_can_be_scaled(compose: dict[str, Any]) -> None:
    """Nothing that only one container can have, a name or a single port, is given to the workers."""
    worker = compose["services"]["worker"]

    assert int(worker["deploy"]["replicas"]) >= 2
    assert "container_name" not in worker
    assert all(re.search(r":\d+-\d+:6066$", port) for port in worker["ports"])


def test_ports_are_published_on_loopback_only(compose: dict[str, Any]) -> None:
    """No service can be reached from another machine."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_our_containers_have_no_privileges(compose: dict[str, Any]) -> None:
    """Read-only file system, no capabilities, no way to gain them, and a user that is not root."""
    for name in ("topics", "worker", "console", "synthetic"):
        service = compose["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "no-new-privileges:true" in service["security_opt"]
        assert "user" not in service

    users = re.findall(r"^USER (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert users[-1:] == ["10001"]


def test_what_watches_has_no_privileges(compose: dict[str, Any]) -> None:
    """No capabilities, no way to gain any, and files of ours that can only be read."""
    for name in ("prometheus", "alertmanager", "grafana"):
        service = compose["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert all(mount.endswith(":ro") for mount in service["volumes"] if mount.startswith("."))


def test_what_is_mounted_is_there(compose: dict[str, Any]) -> None:
    """Each file and folder of ours that a container is given exists."""
    mounts = [mount for service in compose["services"].values() for mount in service.get("volumes", [])]
    given = {mount.split(":")[0] for mount in mounts if mount.startswith(".")}
    assert "./ops/prometheus" in given
    assert all((ROOT / path).exists() for path in given)


def test_the_services_get_settings_that_exist_and_can_be_read(compose: dict[str, Any]) -> None:
    """Each variable given to a container is one of ours, and its default is a good value."""
    for name in ("topics", "worker", "console", "synthetic"):
        env = compose["services"][name]["environment"]
        assert set(env) <= {variable.name for variable in VARIABLES}
        assert Settings.from_env(env).kafka == "kafka:19092"


def test_the_image_holds_every_package() -> None:
    """What the wheel is built from is copied into the build and let through by .dockerignore."""
    packages = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    )
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert copied == packages
    assert packages | {"pyproject.toml", "uv.lock", "README.md"} == let_through
