"""Rows of a table; every row is a case."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import tabular
from client.data.config import TableDataset
from client.data.features import Columns, encode
from client.data.quarantine import QuarantineLog
from client.use.cases import Cases
from common.data_spec import TableSpec


def read(dataset: TableDataset, spec: TableSpec) -> Cases:
    """Read the rows, joined and filtered as the site says; their names are the patients', else row numbers.

    Raises:
        DataError: the table cannot be read or lacks a column.
    """
    where = str(dataset.path)
    frame = tabular.joined(tabular.read_table(dataset.path, dataset), dataset.join, dataset)
    frame = tabular.kept(frame, dataset.filter, where=where, text=dataset)
    local = [dataset.local(f.name) for f in spec.features if f.name not in dataset.absent]
    local += [dataset.patient] if dataset.patient else []
    tabular.require(frame, local, where=where, text=dataset)
    rows = np.arange(1, len(frame) + 1)
    frame = frame.reset_index(drop=True)
    log = QuarantineLog()
    usable = _usable(frame, dataset, spec, log)
    frame, rows = frame[usable], rows[usable]
    inputs, notes = encode(frame, Columns(dataset, where, dataset.absent), spec.features)
    names = frame[dataset.patient].tolist() if dataset.patient else rows.astype(str).tolist()
    return Cases(
        inputs=inputs,
        case=np.arange(len(frame)),
        names=names,
        about={"row": rows.tolist()},
        quarantine=log.result(),
        notes=notes,
    )


def _usable(
    frame: pd.DataFrame, dataset: TableDataset, spec: TableSpec, log: QuarantineLog
) -> NDArray[np.bool_]:
    """Tell which rows have every feature that the study requires."""
    usable = np.ones(len(frame), dtype=np.bool_)
    for feature in spec.features:
        if not feature.required or feature.name in dataset.absent:
            continue
        bad = tabular.is_missing(frame[dataset.local(feature.name)], dataset)
        for row in np.flatnonzero(bad & usable):
            log.add(f"{dataset.path.name} row {row + 1}", f"no {feature.name}")
        usable &= ~bad
    return usable
