"""Reads where something was found, and how large, from the table of labels: a row a finding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from client.data import tabular
from client.data.config import DicomDataset
from client.data.dicom.labels import POINT
from client.data.quarantine import QuarantineLog
from common.errors import DataError

COLUMNS = (*POINT, "diameter_mm")

Spots = Mapping[str, NDArray[np.float64]]
"""Of every patient, [n, 4]: x, y, z (patient coordinates) and diameter, in mm."""


def read_spots(dataset: DicomDataset, log: QuarantineLog) -> Spots:
    """Return what was found in every patient of the table.

    A row whose four numbers are empty says that the patient takes part; with no other row, nothing was found in this
    patient. Who has a row with some of them, or with something else, is left out: what the images show would only be
    known in part. A row that stands twice is one finding.

    Raises:
        DataError: a column is missing, or a diameter is not more than 0.
    """
    where, patient = str(dataset.labels), dataset.local("patient_id")
    column = [dataset.local(name) for name in COLUMNS]
    frame = tabular.read_table(dataset.labels, dataset)
    tabular.require(frame, [patient, *column], where=where, text=dataset)
    values = np.stack([tabular.numbers(frame[name], dataset) for name in column], axis=1)
    blank = np.all([tabular.is_missing(frame[name], dataset) for name in column], axis=0).tolist()
    small = int((values[:, 3] <= 0).sum())
    if small:
        raise DataError(
            f"{small} diameters are not more than 0.",
            where=f"{where}, column '{column[3]}'",
            fix="Give diameters in mm; leave the row's numbers empty where nothing was found.",
        )
    found: dict[str, list[NDArray[np.float64]]] = {}
    doubtful = set()
    rows = zip(frame.index, frame[patient], values, blank, strict=True)
    for row, name, numbers, nothing in rows:
        known = found.setdefault(name, [])
        if np.isfinite(numbers).all():
            if not any(np.array_equal(numbers, other) for other in known):
                known.append(numbers)
        elif not nothing:
            log.add(f"{dataset.labels.name} row {int(row) + 1}", "label row with half a point")
            doubtful.add(name)
    return {
        name: np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))
        for name, rows in found.items()
        if name not in doubtful
    }
