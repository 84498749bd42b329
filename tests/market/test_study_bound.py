"""The law of the bound: no assignment of the same drawdowns under the same quotas earns more, and one earns as much."""

import json
from collections import Counter
from itertools import product
from random import Random

import pytest
from click.testing import CliRunner

from cli.main import main
from config.rotation import Quota
from market.study.bound import Placement, Prospect, bound
from market.study.funders import Relation, StrategicFunder
from market.study.measures import LOSS_PER_CAPTURE, Measures
from market.study.policies import STRATEGIES
from market.study.population import START, person
from market.study.scenario import Conduct, load_scenario, shipped, study_configuration
from market.study.simulate import Simulation
from rotation.clock import DAY

CONFIGURATION = study_configuration()
FUNDERS = ("one", "two", "three")


def _enumerated(placements: list[Placement], quotas: dict[str, Quota]) -> float:
    """The best of all assignments of a day, each looked at."""
    best = 0.0
    for choice in product((None, *FUNDERS), repeat=len(placements)):
        placed = [(each, to) for each, to in zip(placements, choice, strict=True) if to is not None]
        if all(to in each.prospects for each, to in placed):
            amounts, counts = Counter[str](), Counter(to for _, to in placed)
            for each, to in placed:
                amounts[to] += each.amount
            if all(amounts[f] <= q.daily_amount and counts[f] <= q.daily_count for f, q in quotas.items()):
                best = max(best, sum(each.prospects[to].value for each, to in placed))
    return best


def _day(rng: Random, day: int = 1) -> list[Placement]:
    """Five drawdowns of 1,000 yuan that are sure to come to a loan, where not every funder would have each."""
    return [
        Placement(day, 100_000, {f: Prospect(rng.uniform(-500, 5_000), 1.0) for f in rng.sample(FUNDERS, 2)}, None)
        for _ in range(5)
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("amount", "count"), [(200_000, 5), (1_000_000, 1), (0, 5)])
def test_on_a_small_day_it_is_the_best_of_all_assignments(seed: int, amount: int, count: int) -> None:
    """By the quota of amounts as by that of counts; with two days, it is the sum of both."""
    rng = Random(seed)
    quotas = {funder_id: Quota(daily_amount=amount, daily_count=count) for funder_id in FUNDERS}
    one, two = _day(rng), _day(rng, day=2)
    assert bound(one, quotas) == pytest.approx(_enumerated(one, quotas))
    assert bound(one + two, quotas) == pytest.approx(_enumerated(one, quotas) + _enumerated(two, quotas))


def test_a_loan_that_is_unlikely_takes_less_of_a_quota() -> None:
    """Room for one loan is room for two drawdowns that come to a loan half of the time."""
    halves = [Placement(1, 100_000, {"one": Prospect(1_000, 0.5)}, None) for _ in range(3)]
    assert bound(halves, {"one": Quota(daily_amount=10**9, daily_count=1)}) == pytest.approx(2_000)
    assert bound(halves, {"one": Quota(daily_amount=100_000, daily_count=9)}) == pytest.approx(2_000)


def _play(name: str, policy: str) -> Measures:
    scenario, strategy = load_scenario(name, CONFIGURATION), STRATEGIES[policy]
    return Simulation(scenario, CONFIGURATION, strategy, seed=1, borrowers=80, days=60, bounded=True).run()


@pytest.mark.parametrize(("name", "policy"), list(zip(shipped(), STRATEGIES, strict=True)))
def test_no_policy_exceeds_it(name: str, policy: str) -> None:
    """In each shipped scenario, whichever policy places the drawdowns; and measuring it changes nothing."""
    run = _play(name, policy)
    assert run.expected is not None
    assert run.bound is not None
    assert 0.5 * run.bound < run.expected <= run.bound * (1 + 1e-9)
    assert run.expected == pytest.approx(run.revenue, rel=0.25), "what was to be expected is near what came"


@pytest.mark.parametrize("conduct", ["immediate", "offline", "tightening", "honest"])
def test_a_prospect_is_what_replies_come_to_on_average(conduct: str) -> None:
    """Loans, and fees less captures, of many replies to the same drawdown, within four standard errors."""
    scenario = load_scenario("mixed", CONFIGURATION)
    funder = next(each for each in CONFIGURATION.config.funders if each.id == "bank-a")
    behaves = Conduct(behaviour=conduct, from_day=0, intensity=3.0)  # type: ignore[arg-type]
    strategic = StrategicFunder(funder, scenario, [], behaves)
    someone = next(
        each for n in range(100) if (each := person(n, Random(n), scenario.population, 60)).good and each.grade == "A"
    )
    known, at, amount, number = Relation(loans=2, last=START, elsewhere=1), START + 30 * DAY, 300_000, 4_000
    until = at + 25 * DAY
    came, loans = [], 0
    for seed in range(number):
        reply = strategic.reply(someone, known, at, Random(seed))
        lost = reply.captured or (reply.campaign is not None and at + reply.campaign <= until)
        loans += reply.status == "disbursed"
        fee = amount * funder.fee_bp // 10_000 if reply.status == "disbursed" else 0
        came.append(fee - LOSS_PER_CAPTURE * lost)
    mean = sum(came) / number
    error = (sum((each - mean) ** 2 for each in came) / number**2) ** 0.5
    prospect = strategic.prospect(someone, known, amount, at, until)
    assert prospect.value == pytest.approx(mean, abs=4 * error)
    lends = prospect.lends
    assert loans / number == pytest.approx(lends, abs=4 * (lends * (1 - lends) / number) ** 0.5)


def test_the_command_tells_it() -> None:
    """As JSON that nothing else is mixed into, for each row the bound and how much of it the policy reached."""
    words = ("market", "compare", "--scenarios", "mixed", "--policies", "lock_in,truth", "--seeds", "2", "--bound")
    result = CliRunner().invoke(main, [*words, "--borrowers", "60", "--days", "60", "--jobs", "1", "--json"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["rows"]
    assert [0.5 < row["of_bound"]["mean"] <= 1 < row["bound"]["mean"] for row in rows] == [True, True]
