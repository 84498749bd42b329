"""A revision is written for people in the order of the shipped file, and what is written reads back as the same."""

import json
from typing import Any

import pytest
import yaml

from config.load import load_document
from config.revisions import canonical_json, first_revision
from config.rotation import Revision
from config.written import yaml_text
from tests.config.shipped import DOCUMENT, changed

ODD = [
    DOCUMENT,
    changed(("funders", 0, "name"), "东方银行: #1"),
    changed(("selection", "seed"), "no"),
    changed(("funders", 1, "open"), "22:30-06:00"),
    changed(("funders", 0, "weight"), 1e-05),
]


def revision_of(document: dict[str, Any]) -> Revision:
    """Its revision, as it came by way of the log: with sorted keys."""
    return first_revision(json.loads(canonical_json(document)))


@pytest.mark.parametrize("document", ODD, ids=range(len(ODD)))
def test_what_is_written_reads_back_as_the_same(document: dict[str, Any]) -> None:
    """With the same hash; also names and texts that YAML would take for something else."""
    revision = revision_of(document)

    assert first_revision(load_document(yaml_text(revision), "test")) == revision


def test_sections_and_keys_stand_as_in_the_shipped_file() -> None:
    """Down to the keys of each funder."""
    there = yaml.safe_load(yaml_text(revision_of(DOCUMENT)))

    assert list(there) == list(DOCUMENT)
    assert list(there["funders"][0]) == list(DOCUMENT["funders"][0])
