"""The AsyncAPI 3 document: every topic of the contract, as those see it who publish events and read decisions."""

from importlib.metadata import version
from typing import Any, NamedTuple, get_args

import yaml

from config.settings import Settings
from streams.codec import INPUTS, Reason
from streams.deadletters import DEAD_LETTERS, REDRIVEN
from streams.schemas import OUTPUTS
from streams.topics import TOPICS, TopicSpec

Document = dict[str, Any]


class _Channel(NamedTuple):
    message: str
    summary: str


_CHANNELS = {
    "credit-grants": _Channel("CreditGrant", "A funder's answer to a credit application"),
    "drawdown-requests": _Channel("DrawdownRequest", "A borrower wants money: route it"),
    "drawdown-outcomes": _Channel("DrawdownOutcome", "What became of a routed drawdown"),
    "repayments": _Channel("Repayment", "Instalments, settlements, overdue notices"),
    "capture-signals": _Channel("CaptureSignal", "Direct evidence of capture"),
    "routing-decisions": _Channel("Decision", "The decision for one attempt of one drawdown"),
    "credit-applications": _Channel("CreditApplication", "At which funder a borrower should apply for a line next"),
    "funder-states": _Channel("FunderState", "Where each funder stands on the response ladder; compacted"),
    "capture-alerts": _Channel("CaptureAlert", "Evidence that a funder captures borrowers"),
    "rotation-config": _Channel(
        "ConfigurationChange", "The log of configuration changes; one partition, kept for ever"
    ),
    DEAD_LETTERS: _Channel("DeadLetter", "Input that could not be used, byte for byte, with the reason"),
}

_KEYS = {
    "customer": "The `customer_id`, UTF-8.",
    "funder": "The `funder_id`, UTF-8.",
    "config": "The text `config`.",
    "original": "The key of the record that could not be used, byte for byte.",
}

_TRACE = {
    "type": "object",
    "properties": {
        "traceparent": {"type": "string", "description": "W3C trace context; carried to every output that it causes."},
        "tracestate": {"type": "string", "description": "Carried along with `traceparent`."},
    },
}

_REFUSAL = {
    "type": "object",
    "description": "The headers of the original record, and these. Numbers are decimal text.",
    "required": ["dlq.reason", "dlq.detail", "dlq.topic", "dlq.partition", "dlq.offset", "dlq.timestamp"],
    "properties": {
        "dlq.reason": {"enum": list(get_args(Reason)), "description": "Of several the first in this order."},
        "dlq.detail": {"type": "string", "description": "Field and problem, for a person. Holds no customer's data."},
        "dlq.topic": {"type": "string", "description": "The original topic, as it is called on the broker."},
        "dlq.partition": {"type": "string", "pattern": "^[0-9]+$"},
        "dlq.offset": {"type": "string", "pattern": "^[0-9]+$"},
        "dlq.timestamp": {"type": "string", "pattern": "^-?[0-9]+$", "description": "Milliseconds since 1970."},
        REDRIVEN: {
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "How often the record was re-driven before; absent when it was not.",
        },
    },
}


def asyncapi() -> Document:
    """The document; payloads refer to the JSON Schemas beside it."""
    topics = [topic for topic in TOPICS if topic.name in _CHANNELS]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "loanrouter",
            "version": version("loanrouter"),
            "description": "Routes loan drawdowns across funders. The document stands on the publishers' side: `send` "
            "is what they publish, `receive` what they may read. On the broker a common prefix "
            "(`LOANROUTER_TOPIC_PREFIX`) may stand before every topic. Records of customers and funders are "
            "partitioned by murmur2 of the key bytes, as Kafka's own clients do. Delivery is at least once.",
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": Settings().kafka, "protocol": "kafka", "description": "`LOANROUTER_KAFKA`"}},
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": {
            f"{action}-{topic.name}": {
                "action": action,
                "channel": {"$ref": f"#/channels/{topic.name}"},
                "summary": _CHANNELS[topic.name].summary,
            }
            for topic in topics
            for action in _actions(topic)
        },
        "components": {
            "messages": {_CHANNELS[topic.name].message: _message(topic) for topic in topics},
            "messageTraits": {"traced": {"headers": _TRACE}},
        },
    }


def asyncapi_yaml() -> str:
    """The document as YAML, the same bytes every time."""
    return yaml.safe_dump(asyncapi(), sort_keys=False, allow_unicode=True, width=120)


def _actions(topic: TopicSpec) -> list[str]:
    return [action for action, way in (("send", "in"), ("receive", "out")) if way in topic.direction.split("/")]


def _channel(topic: TopicSpec) -> Document:
    kafka: Document = {
        "topic": topic.name,
        "partitions": topic.partitions(Settings()),
        "bindingVersion": "0.5.0",
    }
    policy = {"cleanup.policy": ["compact" if topic.compacted else "delete"]}
    kafka["topicConfiguration"] = policy | ({"retention.ms": -1} if topic.forever else {})
    message = _CHANNELS[topic.name].message
    return {
        "address": topic.name,
        "summary": _CHANNELS[topic.name].summary,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
        "bindings": {"kafka": kafka},
    }


def _message(topic: TopicSpec) -> Document:
    channel = _CHANNELS[topic.name]
    message: Document = {
        "name": channel.message,
        "summary": channel.summary,
        "bindings": {"kafka": {"key": {"type": "string", "description": _KEYS[topic.key]}, "bindingVersion": "0.5.0"}},
    }
    if topic.name == DEAD_LETTERS:
        return message | {
            "contentType": "application/octet-stream",
            "headers": _REFUSAL,
            "payload": {"type": "string", "format": "binary", "description": "The original value; may be null."},
        }
    if topic.name not in INPUTS and topic.name not in OUTPUTS:
        return message | {"payload": {"type": "object", "description": "Written by `loanrouter config` alone."}}
    payload = {"$ref": f"./schemas/{topic.name}.json"}
    traced = topic.name not in ("funder-states", "capture-alerts")
    return (
        message | ({"traits": [{"$ref": "#/components/messageTraits/traced"}]} if traced else {}) | {"payload": payload}
    )
