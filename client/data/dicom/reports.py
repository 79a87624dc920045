"""Reads a report a patient from the labels: a column of sentences in the study's vocabulary."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.config import DicomDataset
from client.data.quarantine import QuarantineLog
from common.data_spec import ImageSpec
from common.data_spec.reports import numbers_of
from common.errors import DataError

COLUMN = "report"

Reports = Mapping[str, NDArray[np.int64]]
"""Of every patient, [words]: numbers in the study's vocabulary."""


def read_reports(dataset: DicomDataset, spec: ImageSpec, log: QuarantineLog) -> Reports:
    """Return every patient's report.

    A row whose report the vocabulary cannot say is left out: it is listed by its number, and no word of it is shown.

    Args:
        dataset: where the table is; `columns` and `replace` translate the site's names and words.
        spec: gives the vocabulary and the most words.
        log: rows that are left out.

    Raises:
        DataError: there is no column of reports, or a patient has two that differ.
    """
    where, patient, own = str(dataset.labels), dataset.local("patient_id"), dataset.local(COLUMN)
    frame = tabular.read_table(dataset.labels, dataset)
    tabular.require(frame, [patient, own], where=where, text=dataset)
    frame = frame[~cells.is_missing(frame[patient], dataset)]
    texts = cells.replaced(frame[own], dataset.replace.get(COLUMN, {}))
    texts = texts.mask(cells.is_missing(texts, dataset), "")
    found: dict[str, NDArray[np.int64]] = {}
    differing = set()
    for row, name, text in zip(frame.index, frame[patient], texts, strict=True):
        try:
            report = np.array(numbers_of(text, spec.vocabulary, spec.report_words), dtype=np.int64)
        except ValueError as error:
            log.add(f"{dataset.labels.name} row {int(row) + 1}", f"label row {error}")
            continue
        if not np.array_equal(found.setdefault(name, report), report):
            differing.add(name)
    if differing:
        raise DataError(
            f"{len(differing)} patient{'s have' if len(differing) > 1 else ' has'} two different reports.",
            where=f"{where}, column '{own}'",
            fix="Give every patient one report.",
        )
    return found
