"""Brokers for tests and benchmarks that are more than the embedded ones."""

import pytest

from tests.brokers.apache import ApacheCluster, ApacheKafka
from tests.brokers.maven import BrokerError
from tests.brokers.redis import ComingAndGoing
from tests.brokers.secured import SecuredKafka

__all__ = ["ON_APACHE", "ApacheCluster", "ApacheKafka", "BrokerError", "ComingAndGoing", "SecuredKafka"]

ON_APACHE = pytest.mark.parametrize("kafka", [pytest.param("apache", marks=pytest.mark.apache)], indirect=True)
"""Runs the test on Apache Kafka alone: on the embedded broker it could not, or would only take minutes longer.

(That broker answers no join of a group within three seconds, nor one after a leave before the session is over.)
"""
