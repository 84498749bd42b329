"""What tests fetch, once, and keep in `build/` (or in `LOANROUTER_TEST_CACHE`): Java programs' jars through Maven."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

_BUILD = Path(__file__).parents[2] / "build"
_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"


class BrokerError(Exception):
    """A broker or its jars cannot be had: what is missing on this machine, or the end of a log."""


def jars(pom: Path, name: str) -> Path:
    """The folder `name` of the cache, with the jars that a project file depends on."""

    def fetch(folder: Path) -> None:
        run([tool("mvn"), "-q", "-B", "-f", str(pom), _GOAL, f"-DoutputDirectory={folder}"])

    return made_once(name, fetch)


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; `make` fills it when it is not there yet."""
    folder = Path(os.environ.get("LOANROUTER_TEST_CACHE") or _BUILD) / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # runs side by side make it once
        if not folder.is_dir():
            partial = folder.with_name("partial")
            shutil.rmtree(partial, ignore_errors=True)
            make(partial)
            partial.rename(folder)
    return folder


def tool(name: str) -> str:
    """The path of a program; raises `BrokerError` when the machine has none."""
    found = shutil.which(name)
    if found is None:
        raise BrokerError(f"this machine lacks what the tests need: no `{name}` on the PATH")
    return found


def run(command: Sequence[str], folder: Path | None = None) -> None:
    """Run to the end, in `folder`; raises `BrokerError` with what it said when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode != 0:
        raise BrokerError(f"{Path(command[0]).name} failed: {(done.stdout + done.stderr)[-1500:]}")
