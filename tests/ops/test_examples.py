"""What is provisioned fits together: each part of compose and Kubernetes finds the next one where it looks for it."""

from pathlib import PurePosixPath
from typing import Any

import yaml

from config.settings import VARIABLES, Settings
from tests.docs.pages import page, rows, section
from tests.ops.files import DASHBOARDS, PROMETHEUS, ROOT, RULES, rules
from tests.ops.promtool import promtool

OPS = ROOT / "ops"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def read(path: str) -> Any:
    """A YAML file of `ops/`."""
    return yaml.safe_load((OPS / path).read_text())


def mounted(service: str) -> dict[str, str]:
    """Where a container finds what of `ops/`."""
    mounts = [mount.split(":") for mount in COMPOSE[service]["volumes"]]
    return {target: source for source, target, *_ in mounts if source.startswith("./ops/")}


def test_prometheus_takes_its_configuration() -> None:
    """`promtool check config` finds no fault, and the rules it loads are those that are tested."""
    done = promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [found for each in read("prometheus/prometheus.yml")["rule_files"] for found in PROMETHEUS.glob(each)]
    assert all(str(path) in done.stdout for path in RULES)


def test_prometheus_finds_workers_and_alertmanager() -> None:
    """It scrapes workers and synthetic borrower where they serve, under their jobs, and sends to who listens."""
    config = read("prometheus/prometheus.yml")
    jobs = {scrape["job_name"]: scrape["dns_sd_configs"] for scrape in config["scrape_configs"]}
    assert jobs.keys() == {"loanrouter", "synthetic-loanrouter"}
    for (found,), service in zip(jobs.values(), ("worker", "synthetic"), strict=True):
        port = COMPOSE[service]["environment"]["LOANROUTER_WEB"].rpartition(":")[2]
        assert (found["names"], str(found["port"])) == ([service], port)
    (manager,) = config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
    name, _, listens = manager.partition(":")
    assert [port.rpartition(":")[2] for port in COMPOSE[name]["ports"]] == [listens]


def test_alertmanager_has_a_way_for_each_severity() -> None:
    """Each leads to a receiver of its name, and what is inhibited is an alert that there is."""
    config = read("alertmanager/alertmanager.yml")
    receivers = {each["name"] for each in config["receivers"]}
    routes = {each["matchers"][0]: each["receiver"] for each in config["route"]["routes"]}
    for severity in {rule["labels"]["severity"] for rule in rules("alert").values()}:
        assert routes.get(f'severity="{severity}"', config["route"]["receiver"]) == severity
        assert severity in receivers
    for inhibition in config["inhibit_rules"]:
        for matcher in inhibition["source_matchers"] + inhibition["target_matchers"]:
            for name in matcher.partition("=")[2].strip('~"').split("|"):
                assert any(alert.startswith(name.removesuffix(".*")) for alert in rules("alert")), name


def test_grafana_is_given_source_and_dashboards() -> None:
    """The source is the service that runs, the dashboards lie where they are looked for, and one is the first page."""
    (source,) = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"].removeprefix("http://").split(":")[0] in COMPOSE
    (provider,) = read("grafana/provisioning/dashboards/loanrouter.yml")["providers"]
    folder = provider["options"]["path"]
    assert ROOT / mounted("grafana")[folder] == DASHBOARDS[0].parent
    assert ROOT / mounted("grafana")["/etc/grafana/provisioning"] == OPS / "grafana" / "provisioning"
    home = PurePosixPath(COMPOSE["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (str(home.parent), home.name) == (folder, "service.json")


def test_kubernetes_example() -> None:
    """Probes ask where the worker serves, settings exist, and budget and scaling are about these pods."""
    text = (OPS / "kubernetes" / "loanrouter.yaml").read_text()
    documents = {each["kind"]: each for each in yaml.safe_load_all(text)}
    workers, scaler = documents["StatefulSet"], documents["HorizontalPodAutoscaler"]["spec"]
    pod = workers["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert set(env) <= {variable.name for variable in VARIABLES}
    (port,) = container["ports"]
    assert Settings.from_env(env).web_port == port["containerPort"]
    paths = {probe: container[probe]["httpGet"]["path"] for probe in container if probe.endswith("Probe")}
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert {container[probe]["httpGet"]["port"] for probe in paths} == {port["name"]}
    labels = pod["metadata"]["labels"]
    for kind in ("StatefulSet", "PodDisruptionBudget"):
        assert documents[kind]["spec"]["selector"]["matchLabels"] == labels
    assert documents["Service"]["spec"]["selector"] == labels
    assert workers["spec"]["serviceName"] == documents["Service"]["metadata"]["name"]
    target = scaler["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", workers["metadata"]["name"])
    assert scaler["maxReplicas"] <= Settings().partitions
    (metric,) = scaler["metrics"]
    documented = [name.strip("`") for name, *_ in rows(section(page("docs/operations.md"), "Metrics"))]
    assert f"{metric['external']['metric']['name']}{{topic,partition}}" in documented
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    assert {env["LOANROUTER_DATA"], str(PurePosixPath(env["LOANROUTER_CONFIG"]).parent)} <= mounts
