"""Brokers for tests and benchmarks that are more than the embedded ones."""

from tests.brokers.apache import ApacheKafka
from tests.brokers.maven import BrokerError

__all__ = ["ApacheKafka", "BrokerError"]
