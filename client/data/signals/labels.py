"""Reads the labels of recordings: whose they are, and which class holds from when to when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.quarantine import QuarantineLog
from client.data.signals.config import SignalDataset
from client.data.split import declared_splits
from client.data.targets import label_numbers
from common.errors import DataError

FROM_LABELS = "<labels>"


@dataclass(frozen=True)
class Part:
    """One class, in [start, end) seconds of a recording."""

    start: float
    end: float
    number: int


WHOLE = Part(0.0, np.inf, 0)
"""A recording that is in no class, from its start to its end."""


@dataclass(frozen=True)
class Labels:
    """What the labels say.

    Attributes:
        by_record: whether a key is a recording (else a patient).
        parts: by key, in order of time.
        patients: each recording's patient; empty where the site says otherwise whose they are.
        splits: "train" or "test" by patient; none where there is no such column.
    """

    by_record: bool
    parts: Mapping[str, Sequence[Part]] = field(repr=False)
    patients: Mapping[str, str] = field(repr=False)
    splits: Mapping[str, str] | None = field(repr=False)


def read_labels(
    dataset: SignalDataset, classes: Sequence[str] | None, log: QuarantineLog
) -> Labels:
    """Read and check the table of labels; without classes it says only whose each recording is.

    Raises:
        DataError: file, column, label or split is wrong; no patient is named.
    """
    where = str(dataset.labels)
    table = tabular.read_table(dataset.labels, dataset.model_copy(update={"header": None}))
    names = ("record", "patient_id", "label", "split", "start_seconds", "end_seconds")
    frame = table.rename(columns={dataset.local(name): name for name in names})
    by_record = dataset.patient == FROM_LABELS or "record" in frame.columns
    key = "record" if by_record else "patient_id"
    needed = [] if dataset.annotations or classes is None else ["label"]
    needed += [key, *(["patient_id"] if dataset.patient == FROM_LABELS else [])]
    tabular.require(table, map(dataset.local, needed), where=where, text=dataset)
    for column in dict.fromkeys(needed):
        frame = _without_blanks(frame, column, dataset, log)
    if classes is None:
        parts: dict[str, list[Part]] = {name: [WHOLE] for name in frame[key]}
        return Labels(by_record, parts, _patients(frame, dataset), _splits(frame, where))
    if dataset.annotations:  # they say which parts there are
        parts = {name: [] for name in frame[key]}
        return Labels(by_record, parts, _patients(frame, dataset), _splits(frame, where))
    identifiers = set(frame[key]) | set(frame.get("patient_id", ()))
    words = cells.replaced(frame["label"], dataset.replace.get("label", {})).tolist()
    numbers = label_numbers(
        words, classes, where=f"{where}, column 'label'", identifiers=identifiers
    )
    return Labels(
        by_record=by_record,
        parts=_parts(frame, key, numbers, dataset),
        patients=_patients(frame, dataset),
        splits=_splits(frame, where),
    )


def _without_blanks(
    frame: pd.DataFrame, column: str, dataset: SignalDataset, log: QuarantineLog
) -> pd.DataFrame:
    blank = cells.is_missing(frame[column], dataset)
    for row in frame.index[blank]:
        log.add(f"{dataset.labels.name} row {int(row) + 1}", f"label row without {column}")
    frame = frame[~blank]
    if frame.empty:
        raise DataError(f"No row has a {column}.", where=str(dataset.labels))
    return frame


def _parts(
    frame: pd.DataFrame, key: str, numbers: Sequence[int], dataset: SignalDataset
) -> dict[str, list[Part]]:
    """Collect each key's parts.

    Raises:
        DataError: two of one key's parts overlap.
    """
    start = _seconds(frame, "start_seconds", dataset, 0.0)
    end = _seconds(frame, "end_seconds", dataset, np.inf)
    found: dict[str, list[Part]] = {}
    for name, *values in zip(frame[key], start, end, numbers, strict=True):
        found.setdefault(name, []).append(Part(*values))
    double = 0
    for name, parts in found.items():
        found[name] = sorted(set(parts), key=lambda part: (part.start, part.end))
        double += any(one.end > other.start for one, other in pairwise(found[name]))
    if double:
        raise DataError(
            f"{double} {key}s have labels that overlap in time.",
            where=str(dataset.labels),
            fix="Give every moment of a recording one label at most.",
        )
    return found


def _seconds(
    frame: pd.DataFrame, column: str, dataset: SignalDataset, default: float
) -> NDArray[np.float64]:
    """Return a column of seconds; an empty field is the default.

    Raises:
        DataError: a field is no number: the label would hold for the whole recording.
    """
    if column not in frame.columns:
        return np.full(len(frame), default)
    seconds = cells.numbers(frame[column], dataset)
    unread = int((np.isnan(seconds) & ~cells.is_missing(frame[column], dataset)).sum())
    if unread:
        raise DataError(
            f"{unread} values of '{column}' are no numbers.",
            where=str(dataset.labels),
            fix="Write seconds since the start of the recording, or leave the field empty.",
        )
    return np.nan_to_num(seconds, nan=default)


def _patients(frame: pd.DataFrame, dataset: SignalDataset) -> dict[str, str]:
    """Return each recording's patient.

    Raises:
        DataError: a recording has two.
    """
    if dataset.patient != FROM_LABELS:
        return {}
    found: dict[str, str] = {}
    double = 0
    for record, patient in zip(frame["record"], frame["patient_id"], strict=True):
        double += found.setdefault(record, patient) != patient
    if double:
        raise DataError(
            f"{double} rows give a recording a second patient.",
            where=str(dataset.labels),
            fix="Give every recording one patient.",
        )
    return found


def _splits(frame: pd.DataFrame, where: str) -> dict[str, Any] | None:
    if "split" not in frame.columns or "patient_id" not in frame.columns:
        return None
    pairs = zip(frame["patient_id"], frame["split"], strict=True)
    return dict(declared_splits(pairs, where=f"{where}, column 'split'"))
