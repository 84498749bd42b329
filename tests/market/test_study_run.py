"""The law of the study's market: the same seed plays the same market, hard rules and quotas hold under every policy,
and who is captured is gone.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random

import msgspec
import pytest

from config.rotation import RotationConfig
from market.study.funders import Line, Relation, StrategicFunder
from market.study.measures import Measures
from market.study.policies import STRATEGIES, Choice, Strategy, Watching
from market.study.population import START, Visit, person
from market.study.referee import Account, Referee
from market.study.scenario import Scenario, load_scenario, read_scenario, shipped, study_configuration
from market.study.simulate import Simulation
from rotation.clock import DAY, MINUTE, rfc3339
from rotation.events import CaptureSignal, RiskGrade
from rotation.outputs import CaptureAlert, CaptureEvidence, FunderEvent, FunderOutcome, FunderState
from rotation.state import LedgerEntry

CONFIGURATION = study_configuration()
#: Four funders that capture whoever they can, from the first day.
GREEDY = """
schema: 1
name: greedy
summary: capture is certain
hazard: {exposure_hazard: 0.9, depth_hazard: 0.0, grant_hazard: 0.0}
funders:
"""


def _scenario(conduct: str) -> Scenario:
    ids = ("bank-a", "bank-b", "cf-a", "cf-b")
    funders = "".join(f"  {funder_id}: {{{conduct}, from_day: 0}}\n" for funder_id in ids)
    return read_scenario(GREEDY + funders, "greedy.yaml", CONFIGURATION)


def _play(scenario: Scenario, strategy: Strategy | str, seed: int = 1, borrowers: int = 150) -> Measures:
    chosen = STRATEGIES[strategy] if isinstance(strategy, str) else strategy
    return Simulation(scenario, CONFIGURATION, chosen, seed=seed, borrowers=borrowers, days=120).run()


@lru_cache
def _mixed(policy: str, seed: int = 1) -> Measures:
    return _play(load_scenario("mixed", CONFIGURATION), policy, seed)


@pytest.mark.parametrize("policy", list(STRATEGIES))
def test_no_policy_breaks_a_hard_rule_or_overruns_a_quota(policy: str) -> None:
    """The referee, which does not use the core's arithmetic, finds nothing."""
    run = _mixed(policy)
    assert run.disbursed > 100
    assert (run.overruns, run.violations, run.refusals) == (0, {}, 0)


def test_the_referee_sees_what_breaks_a_rule() -> None:
    """A drawdown without a line, at night, and the one that no quota has room for are counted."""
    funder = next(each for each in CONFIGURATION.config.funders if each.id == "bank-d")
    quota = msgspec.structs.replace(funder.quota, daily_count=1)
    referee = Referee({"bank-d": msgspec.structs.replace(funder, quota=quota)}, cap_bp=2400)
    someone = person(0, Random(1), load_scenario("mixed", CONFIGURATION).population, 180)
    suited = replace(someone, grade="A", age=30)
    account, visit = Account(lines={"bank-d": Line(1_000_000, 2_400)}), Visit(1, START, 400_000, 6)
    noon, night = START + 12 * 60 * MINUTE, START + 23 * 60 * MINUTE

    def route(drawdown_id: str, account: Account, at: int) -> None:
        entry = LedgerEntry(drawdown_id, 1, "bank-d", at, at, visit.amount, "A")
        referee.routed(entry, suited, account, visit, set(), at)

    route("dd-1", account, noon)
    assert (referee.overruns, referee.violations) == (0, {})
    route("dd-1", account, noon)
    assert (referee.overruns, referee.violations) == (1, {"already_tried": 1})
    route("dd-2", Account(), night + DAY)
    assert referee.violations == {"already_tried": 1, "no_live_grant": 1, "closed": 1}


def test_the_same_seed_plays_the_same_market() -> None:
    """Every measure but the seconds is equal, and another seed plays another market."""
    again = _play(load_scenario("mixed", CONFIGURATION), "rotation")
    assert msgspec.structs.replace(again, seconds=0) == msgspec.structs.replace(_mixed("rotation"), seconds=0)
    assert _mixed("rotation", seed=2).fees != again.fees


def test_policies_meet_the_same_borrowers() -> None:
    """Where nobody captures, the same drawdowns are asked for, however they are routed."""
    honest = load_scenario("all_honest", CONFIGURATION)
    runs = [_play(honest, policy) for policy in ("lock_in", "rotation", "fees_only")]
    assert len({(run.drawdowns, run.good) for run in runs}) == 1
    assert all(run.captured == 0 for run in runs)


@pytest.mark.parametrize("behaviour", ["immediate", "offline"])
def test_captured_borrowers_never_return(behaviour: str) -> None:
    """Nothing is placed for a captured borrower after the capture, though others come to the last day."""
    placed: list[Choice] = []

    def prefers(choice: Choice) -> Sequence[str]:
        placed.append(choice)
        return choice.candidates

    watching = Strategy("watching", "watches", prefers=prefers)
    simulation = Simulation(
        _scenario(f"behaviour: {behaviour}"), CONFIGURATION, watching, seed=1, borrowers=150, days=120
    )
    run = simulation.run()
    left = {capture.customer_id: capture.at for capture in simulation.captures}
    assert len(left) == len(simulation.captures)
    assert len(left) > 0.35 * run.good
    assert not [each for each in placed if each.at > left.get(each.person.customer_id, each.at)]
    assert max(each.at for each in placed) > START + 117 * DAY
    assert run.captured_by_day == sorted(run.captured_by_day)
    assert run.captured_by_day[-1] == run.captured


def test_a_stealthy_funder_hides_its_captures_in_any_thirty_days() -> None:
    """It takes some, evenly: below the fall it allows itself in all 30 days since it began, whatever it saw before."""
    conduct = "{behaviour: immediate, from_day: 40, intensity: 10, most_drop: 0.05}"
    scenario = read_scenario(f"{GREEDY}  bank-d: {conduct}\n", "greedy.yaml", CONFIGURATION)
    funder = next(each for each in CONFIGURATION.config.funders if each.id == "bank-d")
    stealthy = StrategicFunder(funder, scenario, [], scenario.conduct["bank-d"])
    good = replace(person(0, Random(1), scenario.population, 180), grade="A", quality=0.9, good=True, canary=False)
    rng, answered, taken = Random(1), [0] * 180, [0] * 180
    for day in range(180):
        for minute in range(rng.randint(10, 30)):
            reply = stealthy.reply(good, Relation(), START + day * DAY + minute * MINUTE, rng)
            answered[day] += reply.status not in ("timed_out", "failed")
            taken[day] += reply.captured
    assert not any(taken[:40])
    assert sum(taken[40:70]) > 20
    assert all(sum(taken[day : day + 30]) < 0.05 * sum(answered[day : day + 30]) for day in range(40, 151))


def test_who_knows_the_truth_loses_fewer_than_lock_in() -> None:
    """Knowledge is worth something: else there would be no way to go."""
    assert _mixed("truth").captured < _mixed("lock_in").captured


class _Accuser(Watching):
    """Pauses one funder on day 10, for good, and remembers what it was shown. It may ask for the pause again later."""

    accused = "cf-a"

    def __init__(self, config: RotationConfig, again: int | None = None) -> None:
        super().__init__(config, accuses=False)
        self.again = again
        self.days = 0
        self.shown: list[object] = []

    def observe(self, event: FunderEvent, now: int) -> None:
        super().observe(event, now)
        self.shown.append(event)

    def signal(self, signal: CaptureSignal, now: int) -> None:
        self.shown.append(signal)

    def review(self, now: int) -> tuple[list[FunderState], list[CaptureAlert]]:
        self.days += 1
        states, _ = super().review(now)
        if self.days < 10:
            return list(states), []
        paused = FunderState(self.accused, {}, "paused", 0.0, rfc3339(now), "accused", self.days)
        found = [paused if state.funder_id == self.accused else state for state in states]
        if self.days != self.again:
            return found, []
        evidence = CaptureEvidence(0.1, 0.05, 100, 9.0, 5.0, rfc3339(now))
        alert = CaptureAlert(
            "again", self.accused, "all", "canary", "paused", rfc3339(now), evidence, "paused", "paused"
        )
        return found, [alert]


@pytest.mark.parametrize(("conduct", "honest"), [("behaviour: immediate", False), ("behaviour: tightening", True)])
def test_a_defence_pauses_a_funder_and_is_judged_by_the_truth(conduct: str, honest: bool) -> None:
    """A paused funder gets no more drawdowns; the pause counts as found when it captures, and as false when not."""
    seen: list[_Accuser] = []

    def defence(config: RotationConfig) -> _Accuser:
        seen.append(_Accuser(config))
        return seen[-1]

    scenario = _scenario(conduct)
    accusing = Strategy("accusing", "pauses one funder", rotates=True, defence=defence)
    run, free = _play(scenario, accusing), _play(scenario, "rotation")
    assert run.violations == {}
    assert run.shares["cf-a"] < 0.5 * free.shares["cf-a"]
    assert run.detected == ({} if honest else {"cf-a": 10})
    assert run.false_steps == (1 if honest else 0)
    assert any(isinstance(event, FunderOutcome) for event in seen[0].shown)


@pytest.mark.parametrize(("again", "detected"), [(None, {}), (15, {}), (30, {"cf-a": 10})])
def test_what_was_done_before_a_funder_captures_has_not_found_it(again: int | None, detected: dict[str, int]) -> None:
    """A pause on day 10 of one that begins on day 20 is false, though it stands; asked for again later, it is found."""
    begins_later = GREEDY + "  cf-a: {behaviour: immediate, from_day: 20}\n"
    scenario = read_scenario(begins_later, "greedy.yaml", CONFIGURATION)
    accusing = Strategy("accusing", "pauses one funder", defence=lambda config: _Accuser(config, again))
    run = _play(scenario, accusing)
    assert (run.capturing, run.false_steps, run.detected) == (1, 1, detected)


@pytest.mark.parametrize("conduct", ["from_day: 120", 'regions: ["510000"], from_day: 0'])
def test_who_cannot_capture_in_a_run_is_not_among_those_to_find(conduct: str) -> None:
    """One that begins when the run is over, and one that means a province for which it has no licence."""
    two = f"  bank-c: {{behaviour: immediate, {conduct}}}\n  cf-b: {{behaviour: offline, from_day: 119}}\n"
    run = _play(read_scenario(GREEDY + two, "greedy.yaml", CONFIGURATION), "rotation")
    assert run.capturing == 1
    assert run.honest_years == pytest.approx((10 * 120 - 1) / 365)


def test_tightening_is_confined_like_capture() -> None:
    """To the grades and provinces that are named."""
    conduct = '{behaviour: tightening, from_day: 0, drop: 0.3, grades: [D], regions: ["440000"]}'
    scenario = read_scenario(f"{GREEDY}  cf-a: {conduct}\n", "greedy.yaml", CONFIGURATION)
    funder = next(each for each in CONFIGURATION.config.funders if each.id == "cf-a")
    tight = StrategicFunder(funder, scenario, [], scenario.conduct["cf-a"])
    honest = StrategicFunder(funder, scenario, [])
    someone = person(0, Random(1), scenario.population, 180)
    kinds: list[tuple[RiskGrade, str, float]] = [("D", "440000", 0.3), ("C", "440000", 0.0), ("D", "310000", 0.0)]
    for grade, region, drop in kinds:
        each = replace(someone, grade=grade, region=region)
        assert honest.passes(each, START) - tight.passes(each, START) == pytest.approx(drop)


def test_staff_that_is_not_recognised_tells_of_a_capturing_funder() -> None:
    """Signals, each with its own id, name capturing funders mostly; where nobody captures, only a few are false."""

    def told(scenario: Scenario) -> list[CaptureSignal]:
        watching: list[_Accuser] = []

        def defence(config: RotationConfig) -> _Accuser:
            watching.append(_Accuser(config))
            return watching[-1]

        _play(scenario, Strategy("watching", "watches", defence=defence), borrowers=300)
        return [event for event in watching[0].shown if isinstance(event, CaptureSignal)]

    staffed = msgspec.structs.replace(
        _scenario("behaviour: immediate"),
        population=msgspec.structs.replace(_scenario("behaviour: immediate").population, canaries=0.2),
    )
    signals = told(staffed)
    contacts = [signal for signal in signals if signal.kind == "canary_contacted"]
    assert len(contacts) > 20
    assert len({signal.event_id for signal in signals}) == len(signals)
    assert sum(signal.funder_id in staffed.capturing() for signal in contacts) > 0.9 * len(contacts)
    assert len(told(load_scenario("all_honest", CONFIGURATION))) < 5


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_scenario_can_be_played(name: str) -> None:
    """Each loads for the shipped configuration, and plays."""
    scenario = load_scenario(name, CONFIGURATION)
    run = _play(scenario, "rotation", borrowers=20)
    assert run.scenario == scenario.name == name
    assert run.violations == {}
