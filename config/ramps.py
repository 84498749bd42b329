"""Which drafts may be let in by steps: under them and the active revision the reservation book must count alike."""

from config.records import Ramp
from config.rotation import Revision


def objection(active: Revision, draft: Revision, ramp: Ramp) -> str | None:
    """Why the draft cannot be let in by these steps; None when it can."""
    if ramp.shares != sorted(set(ramp.shares)) or ramp.shares[-1] != 100:
        return f"shares must grow and end with 100, but are {', '.join(map(str, ramp.shares))}"
    before, after = ({funder.id: funder for funder in each.config.funders} for each in (active, draft))
    if before.keys() != after.keys():
        return "a draft with other funders cannot be let in by steps; activate it for all"
    changed = [
        id_ for id_ in before if (before[id_].quota, before[id_].guarantee) != (after[id_].quota, after[id_].guarantee)
    ]
    if changed:
        return f"the draft changes quota or guarantee of {', '.join(changed)}; activate it for all"
    return None
