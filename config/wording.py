"""Types and values in a risk officer's words, for error reasons and for the reference of keys."""

import json
import re
from typing import Any

from msgspec import inspect


def expected(annotation: Any) -> str:
    """What a value of this type is, such as "a whole number of at least 1"."""
    return _words(inspect.type_info(annotation))


def shown(value: object) -> str:
    """A value as it stands in an error: its kind and, when it is short, itself."""
    match value:
        case None:
            return "empty"
        case bool():
            return str(value).lower()
        case int() | float():
            return _short(str(value))
        case str():
            return "the text " + _short(_quoted(value))
        case dict():
            return "a section"
        case _:
            return "a list of " + str(len(value)) if isinstance(value, list) else "of another kind"


def needs_quotes(annotation: Any, value: object) -> bool:
    """Whether a number or a truth value stands where a text belongs: it only lacks its quotes."""
    return isinstance(value, bool | int | float) and _is_text(inspect.type_info(annotation))


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(extra_json_schema={"description": str(description)}):
            return description
        case inspect.Metadata(type=inner):
            return _words(inner)
        case inspect.IntType():
            return "a whole number" + _range(kind)
        case inspect.FloatType():
            return "a number" + _range(kind)
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values) if len(values) == 1:
            return str(values[0])
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(map(str, values))
        case inspect.TupleType(item_types=(item, _)):
            return f"a pair [lowest, highest], each {_words(item)}"
        case inspect.ListType(item_type=item):
            return f"a list, each item {_words(item)}"
        case inspect.UnionType(types=types):
            return ", or ".join(_words(inner) for inner in types if not isinstance(inner, inspect.NoneType))
        case inspect.StructType() | inspect.DictType():
            return "a section of keys and values"
    return "a text"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f"of at least {_number(kind.ge)}" if kind.ge is not None else ""
    low = f"above {_number(kind.gt)}" if kind.gt is not None else low
    high = f"at most {_number(kind.le)}" if kind.le is not None else ""
    high = f"below {_number(kind.lt)}" if kind.lt is not None else high
    if kind.ge is not None and kind.le is not None:
        return f" from {_number(kind.ge)} to {_number(kind.le)}"
    bounds = " and ".join(bound for bound in (low, high) if bound)
    return f" {bounds}" if bounds else ""


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _is_text(kind: inspect.Type) -> bool:
    match kind:
        case inspect.Metadata(type=inner):
            return _is_text(inner)
        case inspect.LiteralType(values=values):
            return all(isinstance(value, str) for value in values)
        case inspect.UnionType(types=types):
            return any(map(_is_text, types))
    return isinstance(kind, inspect.StrType)


def _quoted(text: str) -> str:
    return re.sub(r"[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", json.dumps(text, ensure_ascii=False))


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[:most] + "…"
