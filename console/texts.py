"""What the pages say, in Chinese; in English it is said as it stands in templates and code."""

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal

from console.texts_zh import CHINESE, PATTERNS

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")

_WORDS: Final[Mapping[Language, Mapping[str, str]]] = {"en": {}, "zh": CHINESE}
_PATTERNS: Final[Mapping[Language, Mapping[re.Pattern[str], str]]] = {
    "en": {},
    "zh": {
        re.compile(r"(\S+)".join(re.escape(part) for part in text.split("{}"))): words
        for text, words in PATTERNS.items()
    },
}


def preferred(accept: str) -> Language:
    """The language of ours that an Accept-Language header likes best; English when it likes none."""
    best: Language = "en"
    most = 0.0
    for part in accept.split(","):
        tag, _, parameters = part.strip().partition(";")
        quality = parameters.strip().removeprefix("q=")
        try:
            likes = float(quality) if quality else 1.0
        except ValueError:
            continue
        for language in LANGUAGES:
            if tag.lower().partition("-")[0] == language and likes > most:
                best, most = language, likes
    return best


def translator(language: Language) -> Callable[[str], str]:
    """Gives each text in the language; a text that it does not know stays as it is."""
    words, patterns = _WORDS[language], _PATTERNS[language]

    def say(text: str) -> str:
        if (known := words.get(text)) is not None:
            return known
        for pattern, filled in patterns.items():
            if (found := pattern.fullmatch(text)) is not None:
                return filled.format(*found.groups())
        return text

    return say
