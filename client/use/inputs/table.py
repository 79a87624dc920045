"""Rows of a table; every row is a case."""

from __future__ import annotations

import numpy as np

from client.data.config import TableDataset
from client.data.unlabelled import table_rows
from client.use.cases import Cases
from common.data_spec import TableSpec


def read(dataset: TableDataset, spec: TableSpec) -> Cases:
    """Read the rows, joined and filtered as the site says; their names are the patients', else row numbers.

    Raises:
        DataError: the table cannot be read or lacks a column.
    """
    raw, rows = table_rows(dataset, spec)
    return Cases(
        inputs=raw.inputs,
        case=np.arange(len(rows)),
        names=raw.patients,
        about={"row": rows.tolist()},
        quarantine=raw.quarantine,
        notes=raw.notes,
    )
