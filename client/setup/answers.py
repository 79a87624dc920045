"""What `consilium site init` must know, from flags or from questions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import typer

from common.errors import StudyError

KINDS = ("dicom", "table", "series", "arrays")


@dataclass(frozen=True)
class Answers:
    """What a new site is made from; None: not said yet.

    Attributes:
        name: of the site.
        server: host:port of the coordinator; empty: none yet.
        certificates: PEM file of the coordinator's authority; none: the system's authorities.
        data_kind: dicom, table, series or arrays.
        data_path: the file or folder with the data.
        data_name: what studies call the data set.
        labels: the table of labels, of a dicom data set.
        declared_patients: the public, rounded number of patients.
        max_epsilon: limit over everything that the site's patients ever join.
        runtime: host:port between the two halves of the service.
        patient: the column of a table that names the patient; none: every row is a patient.
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


@dataclass(frozen=True)
class _Question:
    key: str
    text: str
    kind: type
    default: Any = None
    asked: Callable[[Answers], bool] = lambda answers: True


_QUESTIONS = (
    _Question("name", "Name of the site (letters, digits, dashes)", str),
    _Question("server", "Coordinator, host:port (empty: none yet)", str, ""),
    _Question("certificates", "Certificate file that the coordinator sent (empty: none)", str, "",
              lambda answers: bool(answers.server)),
    _Question("data_kind", f"Kind of data ({', '.join(KINDS)})", str),
    _Question("data_path", "File or folder with the data", str),
    _Question("labels", "Table with the labels", str, None, lambda a: a.data_kind == "dicom"),
    _Question("patient", "Column that names the patient (empty: every row is a patient)", str, "",
              lambda answers: answers.data_kind == "table"),
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
    for key in ("data_kind", *_FILES):
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


_FILES = ("certificates", "data_path", "labels")


def _check(key: str, answer: Any) -> None:
    if key == "data_kind" and answer not in KINDS:
        raise StudyError(
            f"There is no kind of data '{answer}'.",
            where="--data-kind",
            fix=f"Give one of: {', '.join(KINDS)}.",
        )
    if key in _FILES and answer is not None and not answer.exists():
        raise StudyError(
            f"There is no file or folder '{answer}'.", where=_flag(key), fix="Check its path."
        )
