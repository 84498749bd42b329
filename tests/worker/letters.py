"""Records that must be refused, and the dead letters that must come of them."""

from typing import NamedTuple

from aiokafka.structs import RecordMetadata

from tests.worker.service import Item, Letter, Service


class Refused(NamedTuple):
    """A record that was published, where it went, and for which reason it must be refused."""

    item: Item
    sent: RecordMetadata
    reason: str


def refuse(service: Service, item: Item, reason: str) -> Refused:
    """Publish a record that must be refused."""
    (sent,) = service.publish(item)
    return Refused(item, sent, reason)


def the_letter(service: Service, refused: Refused) -> Letter:
    """The only dead letter of a record; it holds the record whole and says what the contract wants."""
    item, sent, reason = refused

    def found() -> list[Letter]:
        where = (sent.topic, str(sent.partition), str(sent.offset))
        return [
            letter
            for letter in service.letters()
            if (letter.dlq["dlq.topic"], letter.dlq["dlq.partition"], letter.dlq["dlq.offset"]) == where
        ]

    (letter,) = service.until(found)
    assert letter.dlq.pop("dlq.detail")
    assert letter.dlq == {
        "dlq.reason": reason,
        "dlq.topic": service.settings.topic_prefix + item.topic,
        "dlq.partition": str(sent.partition),
        "dlq.offset": str(sent.offset),
        "dlq.timestamp": str(item.at),
    }
    assert (letter.record.key, letter.record.value, letter.headers) == (item.key, item.value, item.headers)
    return letter
