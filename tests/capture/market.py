"""Funders whose borrowers come and go by plain chances, to play detectors on. All of it follows from a seed."""

from random import Random
from typing import NamedTuple

from capture.cohorts import LifeTable
from capture.learn import hear, learn
from capture.peers import Peer, others, peer
from capture.record import FunderRecord
from config.rotation import Capture, Funder
from market.publication import moment
from rotation.clock import DAY
from rotation.events import CaptureSignal, RiskGrade
from rotation.outputs import EarlySettlement, FunderOutcome, FunderReturn
from tests.rotation.world import T0, configuration

CONFIG = configuration({"capture.pass_rate.min_events": 50})
RULES: Capture = CONFIG.capture
FUNDER: Funder = CONFIG.funders[0]
GRADES: tuple[RiskGrade, ...] = ("A", "B", "C")
HONEST = ("other-1", "other-2", "other-3", "other-4")


class Behaviour(NamedTuple):
    """What a funder does: its chance to refuse, and of capture at the drawdown or after a loan; reports per answer.

    `grades` are those whose borrowers it captures, `from_day` the first day on which it does, and refuses
    `more_refused` of all besides. After a share `alone` of the refusals no other funder can be asked.
    """

    refuses: float = 0.2
    more_refused: float = 0.0
    alone: float = 0.2
    at_drawdown: float = 0.0
    offline: float = 0.0
    reports: float = 0.001
    grades: tuple[RiskGrade, ...] = GRADES
    from_day: int = 0


class Town:
    """A suspect and some honest funders, day by day: `a_day` answers each."""

    def __init__(self, seed: int, suspect: Behaviour, a_day: int = 20) -> None:
        self.records = {name: FunderRecord() for name in (FUNDER.id, *HONEST)}
        self._suspect, self._a_day = suspect, a_day
        self._rng, self._alone, self._seen, self.day = Random(seed), Random(seed), 0, 0
        self._later: list[tuple[int, str, FunderReturn | EarlySettlement]] = []

    def pass_day(self) -> None:
        """One more day of answers, returns, settlements and reports."""
        for name in self.records:
            honest = Behaviour(refuses=self._suspect.refuses if name == FUNDER.id else 0.2)
            acts = name == FUNDER.id and self.day >= self._suspect.from_day
            for _ in range(self._a_day):
                self._answer(name, self._suspect if acts else honest)
        self.day += 1
        due = [each for each in self._later if each[0] <= self.now]
        self._later = [each for each in self._later if each[0] > self.now]
        for _, name, event in sorted(due, key=lambda each: each[0]):
            self._tell(name, event)

    @property
    def now(self) -> int:
        """The end of the last day (ms)."""
        return T0 + self.day * DAY

    def compared(self) -> dict[str, LifeTable]:
        """What the suspect is compared with."""
        peers: dict[str, Peer] = {name: peer(record, RULES, self.now) for name, record in self.records.items()}
        return others(peers, FUNDER.id, RULES)

    def _answer(self, name: str, acts: Behaviour) -> None:
        rng, at = self._rng, self.now + int(self._rng.random() * DAY)
        grade = rng.choice(GRADES)
        wanted = grade in acts.grades
        captured = wanted and rng.random() < acts.at_drawdown
        missed = captured or rng.random() < acts.refuses + acts.more_refused
        walks = rng.random() < (0.6 if captured else 0.2)
        status = ("cancelled" if walks else "declined") if missed else "disbursed"
        alone = missed and not walks and self._alone.random() < acts.alone
        self._tell(name, FunderOutcome(name, grade, status, at, decided_at=at, alone=alone))  # type: ignore[arg-type]
        if rng.random() < acts.reports:
            hear(self.records[name], _report(name, at), at)
        after = "loan" if not missed else "walk_away" if walks else "dead_end" if alone else "refusal"
        won = not missed and wanted and rng.random() < acts.offline
        if won or (not missed and rng.random() < 0.02):
            settled = at + int(rng.uniform(5, 35) * DAY)
            self._later.append((settled, name, EarlySettlement(name, grade, at, settled)))
            if not won:
                back = settled + int(rng.expovariate(1 / 20) * DAY)
                self._later.append((back, name, FunderReturn(name, grade, "settlement", settled, back)))
        if not captured and not won and rng.random() < 0.95:
            elsewhere = missed and rng.random() < 0.6 and not alone
            back = at + int((rng.random() if elsewhere else 3 + rng.expovariate(1 / 25)) * DAY)
            self._later.append((back, name, FunderReturn(name, grade, after, at, back)))  # type: ignore[arg-type]

    def _tell(self, name: str, event: FunderOutcome | FunderReturn | EarlySettlement) -> None:
        self._seen += 1
        learn(self.records[name], event, (0, self._seen), FUNDER, RULES)


def _report(name: str, at: int) -> CaptureSignal:
    return CaptureSignal(event_id=f"report-{at}", occurred_at=moment(at), funder_id=name, kind="borrower_report")
