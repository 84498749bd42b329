"""The Chinese texts, by their English ones."""

CHINESE: dict[str, str] = {}
