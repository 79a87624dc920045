"""The questions that `consilium site init` asks, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.setup.answers import Answers

ORDINARY = ("dicom", "table", "series", "records", "signals", "arrays", "molecules")
"""Kinds of data of which others are put together."""
KINDS = (*ORDINARY, "episodes", "fused")
TIME_UNITS = ("milliseconds", "seconds", "minutes", "hours", "days")
WHOSE = ("<labels>", "<file>", "<folder>")
"""How recordings of signals say whose they are."""


@dataclass(frozen=True)
class Question:
    """A question about one of the answers.

    Attributes:
        key: of the answer.
        text: the question.
        kind: of what is typed.
        default: the answer to nothing typed; none: there is no default.
        asked: whether it makes sense after the answers before it.
    """

    key: str
    text: str
    kind: type
    default: Any = None
    asked: Callable[[Answers], bool] = lambda answers: True


def _of(*kinds: str) -> Callable[[Answers], bool]:
    return lambda answers: answers.data_kind in kinds


SITE = (
    Question("name", "Name of the site (letters, digits, dashes)", str),
    Question("server", "Coordinator, host:port (empty: none yet)", str, ""),
    Question("certificates", "Certificate file that the coordinator sent (empty: none)", str, "",
             lambda answers: bool(answers.server)),
    Question("data_kind", f"Kind of data ({', '.join(KINDS)})", str),
)  # fmt: skip
_FILES = (
    Question("data_path", "File or folder with the readings", str, None, _of("series", "records")),
    Question("data_path", "Table with one row a decision", str, None, _of("episodes")),
    Question("data_path", "Table with one row a molecule", str, None, _of("molecules")),
    Question("data_path", "File or folder with the data", str),
    Question("labels", "Table with the labels", str, None, _of("dicom", "signals")),
    Question("outcomes", "Table with one row a record and its outcome", str, None, _of("records")),
    Question("record", "Column of both tables that names the record (such as a stay)", str, None,
             _of("records")),
)  # fmt: skip
_COLUMNS = (
    Question("patient", "Column of the outcomes that names the patient", str, None, _of("records")),
    Question("patient", "Column that names the patient (<file>: every file is a patient)", str,
             "patient", _of("series")),
    Question("patient", "What names the patient of a recording (<labels>: their column patient_id, "
             "<file>, <folder>)", str, WHOSE[0], _of("signals")),
    Question("patient", "Column that names the patient", str, "patient", _of("episodes")),
    Question("patient", "Column that says from whom a sample came (empty: each compound is "
             "protected itself)", str, "", _of("molecules")),
    Question("episode", "Column that keeps apart a patient's episodes, such as a stay (empty: each "
             "has one)", str, "", _of("episodes")),
    Question("order", "Column with a number that orders the decisions", str, "time",
             _of("episodes")),
    Question("time", "Column with the time of a reading", str, "time", _of("series", "records")),
    Question("time_unit", f"Unit of the times ({', '.join(TIME_UNITS)}; empty: they are dates)", str,
             "", _of("series", "records")),
    Question("value", "Column with the reading", str, "value", _of("series")),
)  # fmt: skip
_ROWS = Question("patient", "Column that names the patient (empty: every row is a patient)", str,
                 "", _of("table"))  # fmt: skip
_OWNED_ROWS = Question("patient", "Column that names the patient", str, "patient_id",
                       _of("table", "molecules"))  # fmt: skip
DATA = (*_FILES, _ROWS, *_COLUMNS)
PART = (
    Question("data_kind", f"Kind of data ({', '.join(ORDINARY)})", str),
    *_FILES,
    _OWNED_ROWS,
    *_COLUMNS,
)
"""Of a part of fused data, whose rows must belong to somebody."""
LIMITS = (
    Question("declared_patients", "Patients, rounded (this number becomes public)", int),
    Question("max_epsilon", "Privacy budget ε over all studies together", float, 1.0),
)
