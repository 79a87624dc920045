"""Reads where something was found, and how large, from the table of labels: a row a finding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.config import DicomDataset
from client.data.dicom.labels import POINT
from client.data.quarantine import QuarantineLog

COLUMNS = (*POINT, "diameter_mm")

Spots = Mapping[str, NDArray[np.float64]]
"""Of every patient, [n, 4]: x, y, z (patient coordinates) and diameter, in mm."""


def read_spots(dataset: DicomDataset, log: QuarantineLog) -> Spots:
    """Return what was found in every patient of the table.

    A row whose four numbers are empty says that the patient takes part; with no other row, nothing was found in this
    patient. Who has a row with some of them, with something else, or with a diameter that is not more than 0, is left
    out: what the images show would only be known in part. A row that stands twice is one finding.

    Raises:
        DataError: a column is missing.
    """
    where, patient = str(dataset.labels), dataset.local("patient_id")
    column = [dataset.local(name) for name in COLUMNS]
    frame = tabular.read_table(dataset.labels, dataset)
    tabular.require(frame, [patient, *column], where=where, text=dataset)
    values = np.stack([cells.numbers(frame[name], dataset) for name in column], axis=1)
    blank = np.all([cells.is_missing(frame[name], dataset) for name in column], axis=0).tolist()
    found: dict[str, list[NDArray[np.float64]]] = {}
    doubtful = set()
    rows = zip(frame.index, frame[patient], values, blank, strict=True)
    for row, name, numbers, nothing in rows:
        known = found.setdefault(name, [])
        fault = "" if nothing else _fault(numbers)
        if fault:
            log.add(f"{dataset.labels.name} row {int(row) + 1}", fault)
            doubtful.add(name)
        elif not nothing and not any(np.array_equal(numbers, other) for other in known):
            known.append(numbers)
    return {
        name: np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))
        for name, rows in found.items()
        if name not in doubtful
    }


def _fault(numbers: NDArray[np.float64]) -> str:
    """Say why a row's x, y, z and diameter are no finding; empty where they are one."""
    if not np.isfinite(numbers).all():
        return "label row with half a point"
    return "" if numbers[3] > 0 else "label row with a diameter that is not more than 0"
