"""Small archives of traffic that the core itself decided, and what a draft would have made of them."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from bench.traffic import planted, traffic
from config.load import load_file
from config.revisions import first_revision
from config.rotation import Revision
from streams.archive import ArchiveWriter, read_summary
from tests.rotation.world import SHIPPED
from whatif.history import History, read_shared
from whatif.report import report
from whatif.run import what_if
from whatif.told import Report

Edit = Callable[[dict[str, Any]], None]


def revision(edit: Edit = lambda document: None) -> Revision:
    """The shipped configuration, edited, with few days of rest, so that few borrowers are enough."""
    document = deepcopy(load_file(SHIPPED))
    document["rotation"]["cooldown"] = {"days": 0.5}
    document["funders"][1]["quota"]["daily_count"] = 1_000_000
    edit(document)
    return first_revision(document)


def weigh(funder: int, weight: float) -> Edit:
    """Give a funder another weight."""

    def edit(document: dict[str, Any]) -> None:
        document["funders"][funder]["weight"] = weight

    return edit


def pause(funder: int) -> Edit:
    """Pause a funder."""

    def edit(document: dict[str, Any]) -> None:
        document["funders"][funder]["status"] = "paused"

    return edit


def written(
    folder: Path, drawdowns: int, edit: Edit = lambda document: None, *, partitions: int = 2, days: int = 10
) -> Path:
    """An archive."""
    with ArchiveWriter(folder) as writer:
        for record in traffic(revision(edit), drawdowns, partitions=partitions, days=days, chance=planted):
            writer.write(record)
    return folder


def answered(folder: Path, draft: Revision, processes: int | None = None) -> Report:
    """What a draft would have made of an archive."""
    shared = read_shared(folder, read_summary(folder))
    return report(what_if(folder, draft, processes=processes), History(shared, draft))
