"""Real Chromium, headless: Debian's, installed where it is missing, with a new and empty profile each time."""

import os
import shutil
import subprocess
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

_PACKAGES = {"chromium": "chromium", "chromedriver": "chromium-driver"}
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_WAIT_SECONDS = 20


class NoBrowser(Exception):
    """Chromium cannot be had: says what is missing, and the end of what the installation said."""


class Chromium:
    """A browser of `size` (width, height) that asks for a language, from `with` to its end."""

    def __init__(self, size: tuple[int, int] = (1200, 900), language: str = "en") -> None:
        self._size = size
        self._language = language
        self._profile = TemporaryDirectory(prefix="loanrouter-chromium-")
        self.driver: Chrome

    def __enter__(self) -> Self:
        options = ChromeOptions()
        options.binary_location = _program("chromium")
        for flag in _FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={self._profile.name}")
        options.add_argument(f"--window-size={self._size[0]},{self._size[1]}")
        options.add_experimental_option("prefs", {"intl.accept_languages": self._language})
        self.driver = Chrome(options, Service(_program("chromedriver")))
        self.driver.implicitly_wait(_WAIT_SECONDS)
        self.driver.set_page_load_timeout(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.driver.quit()
        self._profile.cleanup()


def _program(name: str) -> str:
    """The path of a program of Debian's Chromium; installs it as root where it is missing."""
    found = shutil.which(name)
    if found is None:
        _install(_PACKAGES[name])
        found = shutil.which(name)
    if found is None:
        raise NoBrowser(f"Chromium is needed: no `{name}` on the PATH, and its package brought none")
    return found


def _install(package: str) -> None:
    if shutil.which("apt-get") is None:
        raise NoBrowser(f"Chromium is needed: install what is called {package} on Debian")
    for words in ("update", f"install -y --no-install-recommends {package} fonts-noto-cjk"):
        command = ["apt-get", *words.split()]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        )
        if done.returncode != 0:
            raise NoBrowser(f"{' '.join(command)} failed: {(done.stdout + done.stderr)[-1500:]}")
