"""Records of irregular readings: the readings, and a table with one row a record that says when it starts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import tabular
from client.data.features import Columns, encode
from client.data.quarantine import QuarantineLog
from client.data.records.config import RecordDataset
from client.data.records.outcomes import Outcomes
from client.data.records.source import read_readings
from client.data.times import Clock
from client.use.cases import Cases, from_raw
from common.data_spec import RecordSpec


def read(dataset: RecordDataset, spec: RecordSpec) -> Cases:
    """Read the records of the table; their names are their keys, and outcomes are not looked for.

    Raises:
        DataError: a table cannot be read or lacks a column, or no reading belongs to a record.
    """
    log = QuarantineLog()
    return from_raw(read_readings(dataset, spec, _records(dataset, spec, log), log))


def _records(dataset: RecordDataset, spec: RecordSpec, log: QuarantineLog) -> Outcomes:
    where = str(dataset.outcomes)
    text = dataset.model_copy(update={"header": None})
    frame = tabular.joined(tabular.read_table(dataset.outcomes, text), dataset.join, text)
    local = [dataset.local(f.name) for f in spec.features if f.name not in dataset.absent]
    local += [dataset.record, *([dataset.anchor] if dataset.anchor else [])]
    tabular.require(frame, local, where=where, text=text)
    start = _start(frame, dataset, spec)
    usable = ~np.isnan(start) & ~tabular.is_missing(frame[dataset.record], dataset)
    usable &= ~frame[dataset.record].duplicated().to_numpy(bool)
    for row in np.flatnonzero(~usable):
        log.add(f"{dataset.outcomes.name} row {row + 1}", "no key of its own, or no time zero")
    frame = frame[usable].reset_index(drop=True)
    features, notes = encode(frame, Columns(dataset, where, dataset.absent), spec.features)
    keys = frame[dataset.record].tolist()
    nothing = np.zeros(len(keys), np.int64)
    return Outcomes(keys, keys, start[usable], nothing, features, splits=None, notes=notes)


def _start(frame: pd.DataFrame, dataset: RecordDataset, spec: RecordSpec) -> NDArray[np.float64]:
    """Return when each record's window starts, NaN where its time zero cannot be read."""
    if dataset.anchor is None:
        return np.full(len(frame), spec.start_minutes)
    clock = Clock(dataset.time_unit, dataset.time_format, dataset, str(dataset.outcomes))
    return clock.minutes(frame[dataset.anchor], dataset.anchor) + spec.start_minutes
