"""Reads the labels of a DICOM data set: one class a patient, with points of interest and a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from client.data import cells, tabular
from client.data.config import DicomDataset
from client.data.dicom.slices import Vector
from client.data.quarantine import QuarantineLog
from client.data.split import declared_splits
from client.data.targets import label_numbers
from common.errors import DataError

POINT = ("x_mm", "y_mm", "z_mm")


@dataclass(frozen=True)
class Labels:
    """What the labels say of every patient.

    Attributes:
        number: class number by patient.
        points: points of interest by patient, in patient coordinates (mm); empty if not asked for.
        splits: "train" or "test" by patient; none where there is no such column.
    """

    number: Mapping[str, int] = field(repr=False)
    points: Mapping[str, Sequence[Vector]] = field(repr=False)
    splits: Mapping[str, str] | None = field(repr=False)


def read_labels(
    dataset: DicomDataset, classes: Sequence[str] | None, *, points: bool, log: QuarantineLog
) -> Labels:
    """Read and check the table of labels.

    Args:
        dataset: where it is and what its columns are called.
        classes: names of the classes in order; none: the table only says who takes part.
        points: whether each row must have a point.
        log: rows that are left out.

    Raises:
        DataError: file, column, label or split is wrong; no patient is named.
    """
    where = str(dataset.labels)
    column = {name: dataset.local(name) for name in ("patient_id", "label", "split", *POINT)}
    frame = tabular.read_table(dataset.labels, dataset)
    labelled = () if classes is None else ("label",)
    needed = [column[name] for name in ("patient_id", *labelled, *(POINT if points else ()))]
    tabular.require(frame, needed, where=where, text=dataset)
    frame = _without_blanks(frame, {k: column[k] for k in ("patient_id", *labelled)}, dataset, log)
    patients = frame[column["patient_id"]].tolist()
    numbers: Sequence[int] = [0] * len(patients)
    if classes is not None:
        words = cells.replaced(frame[column["label"]], dataset.replace.get("label", {})).tolist()
        place = f"{where}, column '{column['label']}'"
        numbers = label_numbers(words, classes, where=place, identifiers=set(patients))
    splits = None
    if column["split"] in frame.columns:
        pairs = zip(patients, frame[column["split"]], strict=True)
        splits = declared_splits(pairs, where=f"{where}, column '{column['split']}'")
    return Labels(
        number=_agreed(patients, numbers, where),
        points=_points(frame, column, dataset, log) if points else {},
        splits=splits,
    )


def _without_blanks(
    frame: pd.DataFrame, column: Mapping[str, str], dataset: DicomDataset, log: QuarantineLog
) -> pd.DataFrame:
    """Leave out rows without patient or label."""
    name = dataset.labels.name
    reasons = {"patient_id": "label row without patient", "label": "label row empty"}
    for key, own in column.items():
        blank = cells.is_missing(frame[own], dataset)
        for row in frame.index[blank]:
            log.add(f"{name} row {int(row) + 1}", reasons[key])
        frame = frame[~blank]
    if frame.empty:
        raise DataError(
            "There is no label in the file.", where=str(dataset.labels), fix="Add a row a patient."
        )
    return frame


def _agreed(patients: Sequence[str], numbers: Sequence[int], where: str) -> dict[str, int]:
    """Return one class a patient."""
    found: dict[str, set[int]] = {}
    for patient, number in zip(patients, numbers, strict=True):
        found.setdefault(patient, set()).add(number)
    double = sum(len(classes) > 1 for classes in found.values())
    if double:
        raise DataError(
            f"{double} patient{'s have' if double > 1 else ' has'} two different labels.",
            where=where,
            fix="Give every patient one label.",
        )
    return {patient: classes.pop() for patient, classes in found.items()}


def _points(
    frame: pd.DataFrame, column: Mapping[str, str], dataset: DicomDataset, log: QuarantineLog
) -> dict[str, list[Vector]]:
    """Collect each patient's different points; a row without one is left out."""
    place: dict[str, Any] = {}
    xyz = np.stack([cells.numbers(frame[column[name]], dataset) for name in POINT], axis=1)
    rows = zip(frame.index, frame[column["patient_id"]], xyz, strict=True)
    for row, patient, point in rows:
        if np.isnan(point).any():
            log.add(f"{dataset.labels.name} row {int(row) + 1}", "label row without a point")
        else:
            place.setdefault(patient, {})[tuple(point)] = point
    return {patient: list(points.values()) for patient, points in place.items()}
