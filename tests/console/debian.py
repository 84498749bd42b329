"""Programs that the browser tests need, from Debian's packages: installed where they are missing."""

import os
import shutil
import subprocess


class NoProgram(Exception):
    """A program cannot be had: says which package has it, and the end of what its installation said."""


def program(name: str, package: str) -> str:
    """The path of a program; as root it is installed where it is missing."""
    found = shutil.which(name)
    if found is None:
        _install(name, package)
        found = shutil.which(name)
    if found is None:
        raise NoProgram(f"the console's tests need `{name}`, and Debian's {package} brought none")
    return found


def _install(name: str, package: str) -> None:
    if shutil.which("apt-get") is None:
        raise NoProgram(f"the console's tests need `{name}`: install what is called {package} on Debian")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in ("update", f"install -y --no-install-recommends {package} fonts-noto-cjk"):
        command = ["apt-get", *words.split()]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise NoProgram(f"{' '.join(command)} failed: {(done.stdout + done.stderr)[-1500:]}")
