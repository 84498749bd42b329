"""Prometheus, and its own checker of metrics and rules: from the PATH, or from Debian's package, fetched once."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.brokers.maven import BrokerError, made_once, run, tool


def promtool(*arguments: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run it, with `text` on its standard input. Raises `BrokerError` when it can not be had on this machine."""
    command = [program("promtool"), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)


def program(name: str) -> str:
    """The path of `prometheus` or `promtool`. Raises `BrokerError` when it can not be had on this machine."""
    return shutil.which(name) or str(made_once("prometheus", _fetch) / "usr" / "bin" / name)


def _fetch(folder: Path) -> None:
    """Unpack the package into `folder`; nothing is installed."""
    folder.mkdir()
    download: Sequence[str] = (tool("apt-get"), "download", "-q", "prometheus")
    try:
        run(download, folder)
    except BrokerError:  # a machine that was never told what packages there are
        run([tool("apt-get"), "update", "-q"])
        run(download, folder)
    for package in folder.glob("*.deb"):
        run([tool("dpkg"), "-x", str(package), str(folder)])
        package.unlink()
