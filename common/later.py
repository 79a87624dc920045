"""Fields that came to the study file after studies were approved without them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, JsonValue

LATER: dict[str, JsonValue] = {"added_later": True}
"""Marks a field, as `json_schema_extra`: at its default it stays out of the canonical form, so that fingerprints which
sites approved long ago stay what they were."""


def drop_later_defaults(section: BaseModel, content: dict[str, Any]) -> None:
    """Take out of a section's content, and of the sections in it, what LATER marks and what is at its default."""
    for name, field in type(section).model_fields.items():
        value, extra = getattr(section, name), field.json_schema_extra
        default = field.get_default(call_default_factory=True)
        if isinstance(extra, dict) and extra.get("added_later") and value == default:
            del content[name]
            continue
        for each, text in _pairs(value, content[name]):
            if isinstance(each, BaseModel) and isinstance(text, dict):
                drop_later_defaults(each, text)


def _pairs(value: Any, written: Any) -> Iterator[tuple[Any, Any]]:
    """Pair what lies in a list or a table, or the value itself, with how it is written."""
    if isinstance(value, dict):
        yield from ((each, written[key]) for key, each in value.items())
    elif isinstance(value, tuple | list):
        yield from zip(value, written, strict=True)
    else:
        yield value, written
