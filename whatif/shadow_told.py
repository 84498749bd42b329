"""What a shadow tells: one document, and its tables; the terminal and the console show the same."""

from typing import Literal

import msgspec

from whatif.tables import Table

Kind = Literal["same", "funder", "held", "routed", "codes"]
#: How a draft's decision may compare, in words.
KINDS: dict[Kind, str] = {
    "same": "the same",
    "funder": "another funder",
    "held": "held instead of routed",
    "routed": "routed instead of held",
    "codes": "the same, for other reasons",
}


class Decided(msgspec.Struct, frozen=True):
    """What the active revision or the draft decides: the funder (None: held), rules given up, who is out and why."""

    funder_id: str | None
    relaxed: list[str]
    excluded: dict[str, list[str]]


class Differing(msgspec.Struct, frozen=True):
    """A decision that the draft would have made otherwise."""

    decision_id: str
    drawdown_id: str
    decided_at: str
    config_revision: int
    kind: Kind
    active: Decided
    draft: Decided


class Sides(msgspec.Struct):
    """A number under the active revision, and under the draft."""

    active: int = 0
    draft: int = 0


class Seen(msgspec.Struct):
    """What the shadow has seen: decisions that it compared, by kind, by funder, by code of those who were out.

    `funders` counts routed decisions, `codes` funders that were out for the code, in all decisions. `moved` counts, by
    where the active revision sent a decision and then by where the draft would have, "" for a hold. `differing` are the
    last ones. `unjudged` are the funders whose quota or guarantee the draft changes: it is taken to have room there.
    """

    compared: int = 0
    kinds: dict[Kind, int] = msgspec.field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    funders: dict[str, Sides] = {}
    moved: dict[str, dict[str, int]] = {}
    codes: dict[str, Sides] = {}
    unjudged: list[str] = []
    differing: list[Differing] = []


class Watch(msgspec.Struct, frozen=True):
    """What the draft with this content saw `until` a time, `since` it knew the borrowers (None: it did not yet)."""

    draft_sha256: str
    since: str | None
    until: str
    seen: Seen


def tables(seen: Seen) -> list[Table]:
    """All of them."""
    kinds = [[KINDS[kind], f"{number:,}", _share(number, seen.compared)] for kind, number in seen.kinds.items()]
    moved = [
        [f"{before or 'held'} → {after or 'held'}", f"{number:,}", _share(number, seen.compared)]
        for before, afters in sorted(seen.moved.items())
        for after, number in sorted(afters.items())
    ]
    columns = ("", "active", "draft", "change")
    return [
        Table("Decisions compared", ("", "number", "share"), [["all", f"{seen.compared:,}", ""], *kinds]),
        Table("Decisions routed, by funder", columns, _sides(seen.funders)),
        Table("Decisions that would go elsewhere", ("", "number", "share"), moved),
        Table("Funders out, by reason", columns, _sides(seen.codes)),
    ]


def _sides(counts: dict[str, Sides]) -> list[list[str]]:
    return [
        [name, f"{sides.active:,}", f"{sides.draft:,}", f"{sides.draft - sides.active:+,}"]
        for name, sides in sorted(counts.items())
    ]


def _share(number: int, of: int) -> str:
    return f"{number / of:.1%}" if of else "–"
