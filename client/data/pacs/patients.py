"""Whom a fetch asks for: the patients of a data set's table of labels."""

from __future__ import annotations

from client.data import cells, tabular
from client.data.config import DicomDataset


def labelled_patients(dataset: DicomDataset) -> list[str]:
    """Return the identifiers in the table of labels, sorted, each once.

    Raises:
        DataError: the table is missing, or has no such column.
    """
    column = dataset.local("patient_id")
    frame = tabular.read_table(dataset.labels, dataset, [column])
    tabular.require(frame, [column], where=str(dataset.labels), text=dataset)
    named = frame[column][~cells.is_missing(frame[column], dataset)]
    return sorted(set(named.tolist()))
