"""A configuration as the text that people read and edit."""

import types
import typing
from typing import Any

import msgspec
import yaml

from config.document import read_json
from config.rotation import Revision, RotationConfig


def yaml_text(revision: Revision) -> str:
    """The revision's document in YAML, keys in the order of the model: the loader reads the same document from it."""
    document = _in_order(read_json(revision.canonical), RotationConfig)
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=160)


def _in_order(value: Any, annotation: Any) -> Any:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    for kind in typing.get_args(annotation) if union else (annotation,):
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
            return {name: _in_order(value[name], fields[name]) for name in fields if name in value}
        if isinstance(value, list) and typing.get_origin(kind) is list:
            return [_in_order(item, typing.get_args(kind)[0]) for item in value]
    return value
