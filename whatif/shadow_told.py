"""What a shadow tells: one document, and its tables; the terminal and the console show the same."""

import msgspec

from whatif.shadow import KINDS, Seen, Sides
from whatif.tables import Table


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
