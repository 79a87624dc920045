"""Entry-point registries: tasks, models, algorithms, sources and commands are found by name, never imported upward.

Another package adds its own by declaring, in its `pyproject.toml`, an entry point in one of the groups
`consilium.tasks`, `consilium.models`, `consilium.algorithms`, `consilium.sources`, `consilium.commands`,
`consilium.steps`, `consilium.augmentations`, `consilium.audits`, `consilium.finders`, `consilium.site_commands`,
`consilium.server_commands`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from common.errors import StudyError


class Options(BaseModel):
    """Base of the options that a plug-in takes from the study file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


OptionsT = TypeVar("OptionsT", bound=BaseModel)


@cache
def registry(kind: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of one kind (`"tasks"`, `"models"`, …) by name, nothing imported."""
    return {point.name: point for point in entry_points(group=f"consilium.{kind}")}


@cache
def load(kind: str, name: str) -> Any:
    """Import and return the plug-in `name` of a kind.

    Raises:
        StudyError: no plug-in has that name; the known ones are listed, the nearest first.
    """
    known = registry(kind)
    if name not in known:
        raise StudyError(
            f"Unknown {kind.removesuffix('s')} '{name}'.",
            fix=f"{nearest(name, known)}Known: {', '.join(sorted(known))}.",
        )
    return known[name].load()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `"Did you mean 'x'? "` for the known name closest to `name`, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"Did you mean '{close[0]}'? " if close else ""


def parse_options(schema: type[OptionsT], values: Mapping[str, Any], *, where: str) -> OptionsT:
    """Validate a plug-in's options against its schema.

    Raises:
        StudyError: naming the key, what is wrong with it and the nearest known key.
    """
    try:
        return schema.model_validate(dict(values))
    except ValidationError as error:
        raise explain(error, schema, where=where) from None


def explain(error: ValidationError, schema: type[BaseModel], *, where: str) -> StudyError:
    """Turn pydantic's first complaint into a sentence that names the key and the cure."""
    first = _first(error)
    path = [str(part) for part in first["loc"]]
    key = ".".join(path) or "the table"
    if first["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return _kind_needed(first, key, where)
    if first["type"] == "extra_forbidden":
        known = _fields_at(schema, path[:-1])
        hint = nearest(path[-1], known)
        listed = f"Known keys: {', '.join(sorted(known))}." if known else "It takes no options."
        return StudyError(f"Unknown key '{key}'.", where=where, fix=f"{hint}{listed}")
    if first["type"] == "missing":
        return StudyError(f"Key '{key}' is missing.", where=where, fix="Add it.")
    said = first["msg"].removeprefix("Value error, ")
    return StudyError(f"Key '{key}': {said}.".replace("..", "."), where=where)


def _first(error: ValidationError) -> Any:
    """Return the first complaint; of a missing key and an unknown one beside it the latter: the same key, misspelt."""
    found = error.errors()
    beside = [e for e in found if e["loc"][:-1] == found[0]["loc"][:-1]]
    unknown = [e for e in beside if e["type"] == "extra_forbidden"]
    return unknown[0] if found[0]["type"] == "missing" and unknown else found[0]


def _kind_needed(first: Any, key: str, where: str) -> StudyError:
    """The table's `kind` is missing or unknown; it says which other keys there are."""
    context = first.get("ctx", {})
    given, known = str(context.get("tag", "")), str(context.get("expected_tags", "")).split(", ")
    names = sorted(name.strip("'") for name in known if name) or sorted(registry("sources"))
    what = f"Unknown kind '{given}' in '{key}'." if given else f"Key '{key}.kind' is missing."
    return StudyError(
        what, where=where, fix=f"{nearest(given, names)}Set kind to {', '.join(names)}."
    )


def _fields_at(schema: type[BaseModel], path: list[str]) -> set[str]:
    """Collect the field names of the (possibly nested, possibly discriminated) model at `path`."""
    models: list[Any] = [schema]
    for part in path:
        tagged = [model for model in models if _tag(model) == part]
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        inner = [found for field in fields for found in _models_in(field.annotation)]
        models = tagged or inner or models  # else an index, or a key of a mapping
    return {name for model in models for name in model.model_fields}


def _tag(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    return str(getattr(field.annotation, "__args__", [""])[0]) if field else ""


def _models_in(annotation: Any) -> list[Any]:
    """Return the pydantic models inside an annotation such as `A | B | None` or `list[A]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for inner in getattr(annotation, "__args__", ()) for m in _models_in(inner)]
