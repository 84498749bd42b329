"""`/livez` and `/readyz` on the worker's web address."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from faust.web import Request, Response, View

if TYPE_CHECKING:
    from streams.app import LoanrouterApp

Check = Callable[[], str | None]


class Readiness:
    """Why the worker is not ready. Other parts register checks of their own."""

    def __init__(self, app: "LoanrouterApp") -> None:
        self._app = app
        self._checks: dict[str, Check] = {"tables": self._tables}

    def register(self, name: str, check: Check) -> None:
        """Add a check: returns the reason why the worker is not ready, or None."""
        self._checks[name] = check

    def reasons(self) -> list[str]:
        """Why the worker is not ready; empty when it is."""
        return [f"{name}: {reason}" for name, check in self._checks.items() if (reason := check())]

    def _tables(self) -> str | None:
        return None if self._app.tables.actives_ready and not self._app.rebalancing else "being assigned or recovered"

    def add_pages(self) -> None:
        """Serve the two pages."""

        @self._app.page("/livez")
        async def livez(view: View, request: Request) -> Response:
            return view.text("alive\n")

        @self._app.page("/readyz")
        async def readyz(view: View, request: Request) -> Response:
            reasons = self.reasons()
            return view.json({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)
