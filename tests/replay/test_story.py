"""A log of records that nobody has published yet is decided as Kafka would have spread it over its partitions."""

import json
from pathlib import Path

from tests.processes import loanrouter

ROOT = Path(__file__).parents[2]
STORY = ROOT / "tests" / "contract" / "examples" / "story.jsonl"


def test_the_contracts_story() -> None:
    """One borrower's stream time says nothing of another's: the later visit of one expires nothing of the others."""
    done = loanrouter("replay", str(STORY), "--config", str(ROOT / "config" / "rotation.yaml"))

    assert done.returncode == 0, done.stderr
    decisions = {each["decision_id"]: each for each in map(json.loads, done.stdout.splitlines())}
    assert {key: each["status"] for key, each in decisions.items()} == {
        "dd-1:1": "routed",
        "dd-2:1": "routed",
        "dd-3:1:held": "held",
        "dd-3:1": "routed",
        "dd-4:1:held": "held",
    }
    assert decisions["dd-3:1"]["funder_id"] == "cf-west"
    assert "apr_above_cap" in decisions["dd-4:1:held"]["excluded"]["cf-north"]
