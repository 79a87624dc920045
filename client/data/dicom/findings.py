"""Reads several findings a patient from the labels: a column each, 1 present, 0 absent, −1 or empty unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.config import DicomDataset
from common.errors import DataError, StudyError

UNKNOWN = -1.0
WORDS = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "-1": UNKNOWN, "-1.0": UNKNOWN}

Findings = Mapping[str, NDArray[Any]]
"""Of every patient, [L]."""


def read_findings(dataset: DicomDataset, findings: Sequence[str] | None) -> Findings:
    """Return what is known of every patient in the table.

    Where a patient has several rows, what one leaves open another may say.

    Args:
        dataset: where the table is; `columns` and `replace` translate the site's names and words.
        findings: their names in order, which are columns of the table.

    Raises:
        StudyError: the task names no findings.
        DataError: a column is missing, a word is no finding's, or two rows contradict each other.
    """
    if findings is None:
        raise StudyError("labels = 'classes' needs a task with findings.", where="[task]")
    where, patient = str(dataset.labels), dataset.local("patient_id")
    frame = tabular.read_table(dataset.labels, dataset)
    tabular.require(frame, [patient, *map(dataset.local, findings)], where=where, text=dataset)
    frame = frame[~cells.is_missing(frame[patient], dataset)]  # noted where the labels are read
    values = np.stack([_column(frame, name, dataset, where) for name in findings], axis=1)
    found: dict[str, NDArray[np.float32]] = {}
    doubtful = set()
    for name, row in zip(frame[patient].tolist(), values, strict=True):
        before = found.get(name, np.full(len(findings), UNKNOWN, np.float32))
        if ((before != row) & (before != UNKNOWN) & (row != UNKNOWN)).any():
            doubtful.add(name)
        found[name] = np.maximum(before, row)
    if doubtful:
        raise DataError(
            f"{len(doubtful)} patient{'s have' if len(doubtful) > 1 else ' has'} rows that contradict each other.",
            where=where,
            fix="Give every patient one row, or the same findings in each.",
        )
    return found


def _column(
    frame: pd.DataFrame, finding: str, dataset: DicomDataset, where: str
) -> NDArray[np.float32]:
    """Read a finding of all rows, [N]."""
    own = dataset.local(finding)
    words: pd.Series[Any] = cells.replaced(frame[own], dataset.replace.get(finding, {}))
    read = words.map(WORDS).to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = np.where(cells.is_missing(words, dataset), UNKNOWN, read)
    bad = int(np.isnan(numbers).sum())
    if bad:
        raise DataError(
            f"{bad} rows are neither present, absent nor unknown.",
            where=f"{where}, column '{own}'",
            fix="Write 1, 0 or -1, leave it empty, or map other words with `replace` in site.toml.",
        )
    return numbers.astype(np.float32)
