"""Work for a moment, in whose middle something may happen to the workers."""

import json

from rotation.events import BorrowerEvent
from tests.rotation.world import grant, request
from tests.worker.service import Service, now

BURST = 600


class Burst:
    """Drawdowns of borrowers on all partitions, enough to keep both workers busy for a moment."""

    def __init__(self, service: Service) -> None:
        self._service = service
        customers = [service.customer() for _ in range(BURST // 4)]
        at = now()
        service.tell(*(grant(f, at, customer_id=c) for c in customers for f in ("cf-west", "cf-north")))
        service.settle_all()
        self._customers = customers
        self.asked: list[str] = []

    def ask(self, share: float) -> None:
        """Ask for a share of the drawdowns."""
        events: list[BorrowerEvent] = []
        for _ in range(int(BURST * share)):
            drawdown_id = f"dd-{self._service.number()}"
            customer_id = self._customers[len(self.asked) % len(self._customers)]
            self.asked.append(drawdown_id)
            events.append(request(drawdown_id, now(), amount=50_000, customer_id=customer_id))
        self._service.tell(*events)

    def until_begun(self) -> None:
        """Wait until some are decided: the others are in work."""
        self._service.until(lambda: any(self.decided().values()))

    def decided(self) -> dict[str, list[bytes]]:
        """Every decision read of each drawdown."""
        return {drawdown_id: self._service.values(drawdown_id) for drawdown_id in self.asked}

    def until_decided(self) -> dict[str, list[bytes]]:
        """Wait until all are decided; each is routed, and has only one content."""
        self._service.until(lambda: all(self.decided().values()), 60)
        self._service.settle_all()
        decided = self.decided()
        for values in decided.values():
            assert len(set(values)) == 1, values
            assert json.loads(values[0])["status"] == "routed"
        return decided
