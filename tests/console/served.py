"""A console process as an operator runs it, and the people who use it."""

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from config.settings import Settings
from streams.embedded import LOOPBACK, die_with_parent, free_port
from tests.console.visitor import Visitor
from tests.processes import COMMAND, until

PASSWORD = "correct horse battery"  # noqa: S105  # of everybody here
ADMIN = "admin"
#: Who is who: one person for each role, and one who may do everything.
ROLES = {
    "vera": ["viewer"],
    "edith": ["editor"],
    "april": ["approver"],
    "otto": ["operator"],
    "max": ["editor", "approver", "operator"],
}


class Console:
    """`loanrouter console` from `with` to its end, with an admin whose password is `PASSWORD`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = replace(settings, console_port=free_port())
        self.address = f"http://{LOOPBACK}:{self.settings.console_port}"
        self._log = settings.data / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._seated: dict[str, Visitor] = {}
        self.first_password = ""

    def __enter__(self) -> Self:
        self.start()
        self.first_password = self.one_time()[0]
        admin = Visitor(self.address)
        admin.log_in(ADMIN, self.first_password)
        assert admin.choose_password(self.first_password, PASSWORD).status == 303
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [COMMAND, "console"],
                env=os.environ | self.settings.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(),
            )
        until(self._answers, 60)

    def stop(self) -> int:
        """End it as an operator would; gives its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def one_time(self) -> list[str]:
        """The one-time passwords that it has printed."""
        return re.findall(r"one-time password: (\S+)", self.log())

    def log(self) -> str:
        """What it has printed."""
        return Path(self._log).read_text()

    def visitor(self, name: str | None = None) -> Visitor:
        """Somebody with a cookie jar of their own, logged in as `name`."""
        visitor = Visitor(self.address)
        if name is not None:
            assert visitor.log_in(name, PASSWORD).status == 303
        return visitor

    def seated(self, name: str) -> Visitor:
        """The one `visitor` of that name who stays logged in from test to test."""
        if name not in self._seated:
            self._seated[name] = self.visitor(name)
        return self._seated[name]

    def invite(self, name: str, *roles: str) -> None:
        """Have the admin make a user, who chooses `PASSWORD`."""
        made = self.visitor(ADMIN).send(
            "/people", {"name": name, "what": "add", "roles": list(roles), "reason": "a test"}
        )
        (given,) = re.findall(r"<code>([^<]+)</code>", made.text)
        user = Visitor(self.address)
        user.log_in(name, given)
        assert user.choose_password(given, PASSWORD).status == 303

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            return Visitor(self.address).get("/login").status == 200
        except OSError:
            return False
