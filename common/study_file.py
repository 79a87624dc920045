"""Reads and writes study files, with errors that name the key and the cure."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from common import plugins
from common.errors import StudyError
from common.later import drop_later_defaults
from common.study import Choice, Study
from common.transfer.places import FOLDER, look_in


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read, validate and complete a study file; its checkpoint is looked for beside it, too.

    Args:
        path: the TOML file.
        overrides: `"section.key=value"` strings that replace keys of the file; values are TOML, or plain words.

    Raises:
        StudyError: the file is missing, is not TOML, or holds something that a study does not know.
    """
    study = parse_study(apply_overrides(read_toml(path, "study"), overrides), where=str(path))
    if study.transfer is not None:
        look_in(path.parent, path.parent / FOLDER)
    return study


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Read a TOML file or say in one sentence why it cannot be read."""
    try:
        return _parse(path.read_text(encoding="utf-8-sig"), what, path)
    except FileNotFoundError:
        raise StudyError(
            f"There is no {what} file.", where=str(path), fix="Check the path."
        ) from None
    except IsADirectoryError:
        raise StudyError(
            f"This is a folder, not a {what} file.",
            where=str(path),
            fix="Give the path of the TOML file itself.",
        ) from None
    except UnicodeDecodeError:
        raise StudyError(
            f"The {what} file is not text in UTF-8.",
            where=str(path),
            fix="Save it as UTF-8 in the editor.",
        ) from None
    except OSError as error:
        raise StudyError(
            f"The {what} file cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="Check the path and its permissions.",
        ) from None
    except ValueError:  # a NUL in the path
        raise StudyError(
            f"This is not the path of a {what} file.", where=repr(str(path)), fix="Check the path."
        ) from None


def _parse(text: str, what: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of 5,000 digits and deep nesting
        raise StudyError(
            f"The {what} file is not valid TOML: {str(error).rstrip('.')}.",
            where=str(path),
            fix="Mend that line; text stands in quotes.",
        ) from None


def parse_study(content: Mapping[str, Any], *, where: str) -> Study:
    """Validate a study given as nested mappings, and fill in the defaults of its plug-ins.

    Raises:
        StudyError: naming the key, what is wrong with it and the nearest known key.
    """
    try:
        study = Study.model_validate(content)
    except ValidationError as error:
        raise plugins.explain(error, Study, where=where) from None
    task = _complete("tasks", study.task, f"{where}, [task]")
    model = _complete("models", study.model, f"{where}, [model]")
    algorithm = _complete(
        "algorithms", study.federation.algorithm, f"{where}, [federation.algorithm]"
    )
    federation = study.federation.model_copy(update={"algorithm": algorithm})
    return study.model_copy(update={"task": task, "model": model, "federation": federation})


def _complete(kind: str, choice: Choice, where: str) -> Choice:
    """Check a plug-in's options and write out their defaults, so that the fingerprint covers them."""
    try:
        schema = plugins.load(kind, choice.name).Options
    except StudyError as error:
        raise StudyError(error.what, where=f"{where} name", fix=error.fix) from None
    options = plugins.parse_options(schema, choice.options, where=where)
    content = options.model_dump(mode="json")
    drop_later_defaults(options, content)
    return Choice(name=choice.name, **content)


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the content with every `"section.key=value"` applied.

    Setting the `name` of a plug-in (`model.name=lungct-net`) drops the options of the one it replaces.
    """
    result: dict[str, Any] = _deep_copy(content)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator or not key.strip():
            raise StudyError(f"'{override}' is not of the form section.key=value.", where="--set")
        _assign(result, [part.strip() for part in key.split(".")], _value(value.strip()))
    return result


def _assign(content: dict[str, Any], path: list[str], value: Any) -> None:
    table = content
    for part in path[:-1]:
        following = table.get(part)
        if part == "algorithm" and isinstance(following, str):
            following = {"name": following}
        if following is not None and not isinstance(following, dict):
            raise StudyError(f"'{part}' in '{'.'.join(path)}' is not a table.", where="--set")
        table[part] = table = {} if following is None else following
    if path in PLUGIN_NAMES and table.get("name") != value:
        table.clear()
    _drop_alternative(table, path[-1])
    table[path[-1]] = value


PLUGIN_NAMES = [["task", "name"], ["model", "name"], ["federation", "algorithm", "name"]]
ALTERNATIVES = [
    {"local_steps", "local_epochs"},
    {"epsilon", "noise_multiplier"},
    {"sampling_rate", "units_per_step"},
]


def _drop_alternative(table: dict[str, Any], key: str) -> None:
    """Setting one of two alternatives removes the other, so that the user need not."""
    for pair in ALTERNATIVES:
        if key in pair:
            for other in pair - {key}:
                table.pop(other, None)


def _value(text: str) -> Any:
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
        return value
    except (ValueError, RecursionError):
        return text


def _deep_copy(content: Any) -> Any:
    """Copy tables and lists, so that overrides never change the caller's content."""
    if isinstance(content, dict):
        return {key: _deep_copy(value) for key, value in content.items()}
    return list(content) if isinstance(content, list) else content


def dump_study(study: Study) -> str:
    """Return the study as TOML text that reads back to the same fingerprint."""
    return tomli_w.dumps(_without_none(study.content()))


def _without_none(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_none(value) for key, value in content.items() if value is not None}
    if isinstance(content, list):
        return [_without_none(value) for value in content]
    return content
