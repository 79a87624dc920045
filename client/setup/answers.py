"""What `consilium site init` must know, from flags or from questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import typer

from common.errors import StudyError

KINDS = ("dicom", "table", "series", "records", "signals", "arrays")
TIME_UNITS = ("milliseconds", "seconds", "minutes", "hours", "days")
WHOSE = ("<labels>", "<file>", "<folder>")
"""How recordings of signals say whose they are."""


@dataclass(frozen=True)
class Answers:
    """What a new site is made from; None: not said yet.

    Attributes:
        name: of the site.
        server: host:port of the coordinator; empty: none yet.
        certificates: PEM file of the coordinator's authority; none: the system's authorities.
        data_kind: dicom, table, series, records, signals or arrays.
        data_path: the file or folder with the data; of records the readings.
        data_name: what studies call the data set.
        labels: the table of labels, of images and signals.
        declared_patients: the public, rounded number of patients.
        max_epsilon: limit over everything that the site's patients ever join.
        runtime: host:port between the two halves of the service.
        patient: the column that names the patient, "<file>" or "<folder>" where files or folders do; none: every row
            of a table is a patient.
        outcomes: of records, the table with one row a record.
        record: of records, the key column of both tables.
        time: of series and records, the column with the time of a reading.
        value: of series, the column with the reading.
        time_unit: unit of times that are plain numbers; none: they are dates.
    """

    name: str | None = None
    server: str | None = None
    certificates: Path | None = None
    data_kind: str | None = None
    data_path: Path | None = None
    data_name: str = "default"
    labels: Path | None = None
    declared_patients: int | None = None
    max_epsilon: float | None = None
    runtime: str = "127.0.0.1:9095"
    patient: str | None = None
    outcomes: Path | None = None
    record: str | None = None
    time: str | None = None
    value: str | None = None
    time_unit: str | None = None


@dataclass(frozen=True)
class _Question:
    key: str
    text: str
    kind: type
    default: Any = None
    asked: Callable[[Answers], bool] = lambda answers: True


def _of(*kinds: str) -> Callable[[Answers], bool]:
    return lambda answers: answers.data_kind in kinds


_QUESTIONS = (
    _Question("name", "Name of the site (letters, digits, dashes)", str),
    _Question("server", "Coordinator, host:port (empty: none yet)", str, ""),
    _Question("certificates", "Certificate file that the coordinator sent (empty: none)", str, "",
              lambda answers: bool(answers.server)),
    _Question("data_kind", f"Kind of data ({', '.join(KINDS)})", str),
    _Question("data_path", "File or folder with the readings", str, None, _of("series", "records")),
    _Question("data_path", "File or folder with the data", str),
    _Question("labels", "Table with the labels", str, None, _of("dicom", "signals")),
    _Question("outcomes", "Table with one row a record and its outcome", str, None, _of("records")),
    _Question("record", "Column of both tables that names the record (such as a stay)", str, None,
              _of("records")),
    _Question("patient", "Column that names the patient (empty: every row is a patient)", str, "",
              _of("table")),
    _Question("patient", "Column of the outcomes that names the patient", str, None, _of("records")),
    _Question("patient", "Column that names the patient (<file>: every file is a patient)", str,
              "patient", _of("series")),
    _Question("patient", "What names the patient of a recording (<labels>: their column patient_id, "
              "<file>, <folder>)", str, WHOSE[0], _of("signals")),
    _Question("time", "Column with the time of a reading", str, "time", _of("series", "records")),
    _Question("time_unit", f"Unit of the times ({', '.join(TIME_UNITS)}; empty: they are dates)", str,
              "", _of("series", "records")),
    _Question("value", "Column with the reading", str, "value", _of("series")),
    _Question("declared_patients", "Patients, rounded (this number becomes public)", int),
    _Question("max_epsilon", "Privacy budget ε over all studies together", float, 1.0),
)  # fmt: skip


def complete(given: Answers, *, ask: bool) -> Answers:
    """Return the answers with nothing missing.

    Args:
        given: what the flags said.
        ask: ask for the rest; otherwise take the defaults.

    Raises:
        StudyError: something without a default is missing, or makes no sense.
    """
    for question in _QUESTIONS:
        if getattr(given, question.key) is None and question.asked(given):
            answer = _asked(question) if ask else _typed(question.key, _default(question))
            given = replace(given, **{question.key: answer})
    for key in (*_WORDS, *_FILES):
        _check(key, getattr(given, key))
    return given


def _asked(question: _Question) -> Any:
    """Ask until the answer can be used: a wrong path must not cost the answers before it."""
    while True:
        shown = question.default != ""
        text = typer.prompt(
            question.text, default=question.default, type=question.kind, show_default=shown
        )
        answer = _typed(question.key, text)
        try:
            _check(question.key, answer)
        except StudyError as error:
            typer.secho(f"{error.what} {error.fix}", fg="red", err=True)
        else:
            return answer


def _default(question: _Question) -> Any:
    if question.default is None:
        raise StudyError(
            f"'{_flag(question.key)}' is missing.",
            where="consilium site init --yes",
            fix=f"Give it ({question.text}), or leave out --yes to be asked.",
        )
    return question.default


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _typed(key: str, answer: Any) -> Any:
    """Turn text into a path where one is meant; empty text means none."""
    annotation = next(str(each.type) for each in fields(Answers) if each.name == key)
    if "Path" not in annotation:
        return answer
    return Path(answer).expanduser() if answer else None


_FILES = ("certificates", "data_path", "labels", "outcomes")
_WORDS = {"data_kind": KINDS, "time_unit": (*TIME_UNITS, "")}
"""What has few answers."""


def _check(key: str, answer: Any) -> None:
    what = "kind of data" if key == "data_kind" else "unit of time"
    if key in _WORDS and answer is not None and answer not in _WORDS[key]:
        raise StudyError(
            f"There is no {what} '{answer}'.",
            where=_flag(key),
            fix=f"Give one of: {', '.join(filter(None, _WORDS[key]))}.",
        )
    if key in _FILES and answer is not None and not answer.exists():
        raise StudyError(
            f"There is no file or folder '{answer}'.", where=_flag(key), fix="Check its path."
        )
