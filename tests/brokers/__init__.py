"""Brokers for tests and benchmarks that are more than the embedded ones."""

from tests.brokers.apache import ApacheKafka, BrokerError

__all__ = ["ApacheKafka", "BrokerError"]
