"""Brokers for tests and benchmarks that are more than the embedded ones."""

from tests.brokers.apache import ApacheCluster, ApacheKafka
from tests.brokers.maven import BrokerError
from tests.brokers.redis import ComingAndGoing

__all__ = ["ApacheCluster", "ApacheKafka", "BrokerError", "ComingAndGoing"]
