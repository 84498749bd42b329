"""What the tests of the stream have in common."""

import pytest

from config.settings import Settings
from tests.streams.cluster import Cluster


@pytest.fixture
def cluster(settings: Settings) -> Cluster:
    """Topics and workers of the toy, on each broker."""
    return Cluster(settings)
