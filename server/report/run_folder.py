"""Reads a run folder: `metrics.json`, `rounds.jsonl`, `study.toml`, `non-private/rounds.jsonl`.

Whatever is missing or has the wrong type is a `RunError` that names the file and the key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from common.errors import RunError
from server.report.schema import Round, RunMetrics


@dataclass(frozen=True)
class Run:
    """A run folder, read.

    Attributes:
        metrics: the closing figures.
        rounds: one record a round, in order.
        non_private_rounds: the same for the comparison without privacy; empty where none was run.
        study: the study file's text.
    """

    metrics: RunMetrics
    rounds: tuple[Round, ...]
    non_private_rounds: tuple[Round, ...]
    study: str


def read_run(run: Path) -> Run:
    """Reads the run folder `run`.

    Raises:
        RunError: the folder or one of its files is missing, or a file is malformed.
    """
    if not run.is_dir():
        raise RunError(
            "There is no run folder here.",
            where=str(run),
            fix="Name a folder below runs/, or make one with `consilium simulate STUDY`.",
        )
    other = run / "non-private" / "rounds.jsonl"
    return Run(
        metrics=_parse(RunMetrics, _text(run / "metrics.json"), "metrics.json"),
        rounds=_rounds(run / "rounds.jsonl"),
        non_private_rounds=_rounds(other) if other.exists() else (),
        study=_text(run / "study.toml"),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(
            f"The run folder has no {path.name}.",
            where=str(path.parent),
            fix="If the run was stopped, finish it with --resume first.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(
            f"{path.name} cannot be read: {_reason(error)}.",
            where=str(path),
            fix="Check the file's permissions, or run the study again.",
        ) from None


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error.strerror)


def _rounds(path: Path) -> tuple[Round, ...]:
    """The last record of each round, in order: a resumed run may have written a round twice."""
    records = {}
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            record = _parse(Round, line, f"{path.name}, line {number}")
            records[record.round] = record
    return tuple(records[key] for key in sorted(records))


_R = TypeVar("_R", bound=BaseModel)


def _parse(kind: type[_R], text: str, where: str) -> _R:
    fix = "The file was cut short or edited: run the study again, or finish it with --resume."
    try:
        return kind.model_validate(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise RunError(f"Not a record of a run: {_problem(error)}.", where=where, fix=fix) from None


def _problem(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        return f"{key}: {first['msg'].lower()}" if key else first["msg"].lower()
    if isinstance(error, json.JSONDecodeError):
        return f"no valid JSON at line {error.lineno}, column {error.colno}"
    return "nested too deeply"
