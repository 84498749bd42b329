"""Each bad record has exactly one dead letter, with its reason, bytes, key and headers (contract, section 5)."""

from market.audit.history import History
from market.audit.log import Position, Record

HEADERS = ("dlq.reason", "dlq.detail", "dlq.topic", "dlq.partition", "dlq.offset", "dlq.timestamp")


def check_dead_letters(history: History, *, crashed: bool) -> None:
    """Compare the dead letters with those the contract calls for."""
    report = history.report
    report.dead_letters_expected.update(history.expected.values())
    seen: set[Position] = set()
    for position, letter in history.dead_letters:
        where = "{}[{}]@{}".format(*position)
        reason = letter.header("dlq.reason")
        if position in seen:
            if not crashed:
                report.add("dead_letter_twice", where)
        else:
            report.dead_letters_seen[reason or "none"] += 1
        seen.add(position)
        original = history.inputs.get(position)
        if original is None or history.expected.get(position) != reason:
            report.add("dead_letter_wrong", where, f"{reason}, expected {history.expected.get(position)}")
        elif not _whole(letter, original):
            report.add("dead_letter_wrong", where, "bytes, key or headers")
    for position in history.expected.keys() - seen:
        report.add("dead_letter_missing", "{}[{}]@{}".format(*position), history.expected[position])


def _whole(letter: Record, original: Record) -> bool:
    added = dict(letter.headers)
    return (
        (letter.key, letter.value) == (original.key, original.value)
        and set(original.headers) <= set(letter.headers)
        and all(added.get(name) for name in HEADERS)
        and letter.header("dlq.timestamp") == str(original.timestamp)
    )
