"""Programs that tests need, from Debian's packages: installed where they are missing."""

import os
import shutil
import subprocess


class NoProgram(Exception):
    """A program cannot be had: says which package has it, and the end of what its installation said."""


def program(name: str, package: str, *others: str) -> str:
    """The path of a program; as root it is installed where it is missing, and other packages with it."""
    found = shutil.which(name)
    if found is None:
        _install(name, package, *others)
        found = shutil.which(name)
    if found is None:
        raise NoProgram(f"tests need `{name}`, and Debian's {package} brought none")
    return found


def _install(name: str, package: str, *others: str) -> None:
    if shutil.which("apt-get") is None:
        raise NoProgram(f"tests need `{name}`: install what is called {package} on Debian")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in (("update",), ("install", "-y", "--no-install-recommends", package, *others)):
        command = ["apt-get", *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise NoProgram(f"{' '.join(command)} failed: {(done.stdout + done.stderr)[-1500:]}")
