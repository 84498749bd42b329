"""The broker of these tests."""

import os
from pathlib import Path

import pytest

from tests.streams.cluster import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """A topic set of its own on the broker."""
    return Cluster(os.environ["KAFKA"], os.environ.get("IDEMPOTENT", "1") == "1", tmp_path)
