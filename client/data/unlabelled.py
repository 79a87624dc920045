"""Rows of tables read without what they are labelled with: new cases, and parts of fused data beside the target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.config import TableDataset
from client.data.features import Columns, encode
from client.data.quarantine import QuarantineLog
from client.data.records.config import RecordDataset
from client.data.records.outcomes import Outcomes, clock_of
from client.data.records.source import read_readings
from client.data.samples import RawSamples
from client.data.times import Clock
from common.data_spec import RecordSpec, TableSpec

Numbers = NDArray[np.int64]


def table_rows(dataset: TableDataset, spec: TableSpec) -> tuple[RawSamples, Numbers]:
    """Read the usable rows of a table, joined and filtered as the site says, and their numbers (from 1).

    Where the site names no column of patients, a row is named by its number.

    Raises:
        DataError: the table cannot be read or lacks a column.
    """
    where = str(dataset.path)
    frame = tabular.joined(tabular.read_table(dataset.path, dataset), dataset.join, dataset)
    frame = tabular.kept(frame, dataset.filter, where=where, text=dataset)
    local = [dataset.local(f.name) for f in spec.features if f.name not in dataset.absent]
    local += [dataset.patient] if dataset.patient else []
    tabular.require(frame, local, where=where, text=dataset)
    frame, log = frame.reset_index(drop=True), QuarantineLog()
    usable = _usable(frame, dataset, spec, log)
    rows: Numbers = np.flatnonzero(usable) + 1
    frame = frame[usable]
    inputs, notes = encode(frame, Columns(dataset, where, dataset.absent), spec.features)
    raw = RawSamples(
        inputs=inputs,
        targets=np.zeros(len(frame)),
        patients=frame[dataset.patient].tolist() if dataset.patient else rows.astype(str).tolist(),
        quarantine=log.result(),
        notes=notes,
        nameless=dataset.patient is None,
    )
    return raw, rows


def _usable(
    frame: pd.DataFrame, dataset: TableDataset, spec: TableSpec, log: QuarantineLog
) -> NDArray[np.bool_]:
    """Tell which rows say whose they are, where any does, and have every feature that the study requires."""
    needed = {"no patient id": dataset.patient} if dataset.patient else {}
    for feature in spec.features:
        if feature.required and feature.name not in dataset.absent:
            needed[f"no {feature.name}"] = dataset.local(feature.name)
    reasons = {why: cells.is_missing(frame[column], dataset) for why, column in needed.items()}
    return _without(reasons, len(frame), dataset.path, log)


def _without(
    reasons: Mapping[str, NDArray[np.bool_]], count: int, path: Path, log: QuarantineLog
) -> NDArray[np.bool_]:
    """Tell which of so many rows nothing speaks against; each other one is noted with its first reason."""
    usable = np.ones(count, dtype=np.bool_)
    for reason, bad in reasons.items():
        for row in np.flatnonzero(bad & usable):
            log.add(f"{path.name} row {row + 1}", reason)
        usable &= ~bad
    return usable


def records(dataset: RecordDataset, spec: RecordSpec, owner: str) -> RawSamples:
    """Read records of irregular readings; outcomes are not looked for.

    Args:
        dataset: the site's description.
        spec: what the study asks for.
        owner: column of the table of records that says whose a sample is.

    Raises:
        DataError: a table cannot be read or lacks a column, or no reading belongs to a record.
    """
    log = QuarantineLog()
    return read_readings(dataset, spec, _starts(dataset, spec, owner, log), log)


def _starts(dataset: RecordDataset, spec: RecordSpec, owner: str, log: QuarantineLog) -> Outcomes:
    where = str(dataset.outcomes)
    text = dataset.model_copy(update={"header": None})
    frame = tabular.joined(tabular.read_table(dataset.outcomes, text), dataset.join, text)
    here = {name: values for name, values in dataset.filter.items() if name in frame.columns}
    frame = tabular.kept(frame, here, where=where, text=text).reset_index(drop=True)
    local = [dataset.local(f.name) for f in spec.features if f.name not in dataset.absent]
    local += [dataset.record, owner, *([dataset.anchor] if dataset.anchor else [])]
    tabular.require(frame, local, where=where, text=text)
    clock = clock_of(dataset, frame)
    start = _start(frame, dataset, spec, clock)
    reasons = {
        "no record key": cells.is_missing(frame[dataset.record], dataset),
        "no patient id": cells.is_missing(frame[owner], dataset),
        "repeated record key": frame[dataset.record].duplicated().to_numpy(bool),
        "no time zero": np.isnan(start),
    }
    usable = _without(reasons, len(frame), dataset.outcomes, log)
    frame = frame[usable].reset_index(drop=True)
    features, notes = encode(frame, Columns(dataset, where, dataset.absent), spec.features)
    keys, owners = frame[dataset.record].tolist(), frame[owner].tolist()
    nothing = np.zeros(len(keys), np.int64)
    return Outcomes(keys, owners, start[usable], nothing, features, clock, splits=None, notes=notes)


def _start(
    frame: pd.DataFrame, dataset: RecordDataset, spec: RecordSpec, clock: Clock
) -> NDArray[np.float64]:
    """Return when each record's window starts, NaN where its time zero cannot be read."""
    if dataset.anchor is None:
        return np.full(len(frame), spec.start_minutes)
    return clock.minutes(frame[dataset.anchor], dataset.anchor) + spec.start_minutes
