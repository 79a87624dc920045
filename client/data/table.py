"""Tables: one row a record, several rows a patient; columns scaled by public constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.config import TableDataset
from client.data.features import Columns, encode
from client.data.quarantine import QuarantineLog
from client.data.samples import RawSamples
from client.data.split import declared_splits
from client.data.target_column import TargetColumn
from client.data.targets import with_time
from client.data.units import conversion
from common.data_spec import TableSpec


class TableSource:
    """Reads `kind = "table"`."""

    def load(
        self, dataset: TableDataset, spec: TableSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Read, join and filter the table, then encode its rows (see `Source.load`)."""
        where = str(dataset.path)
        frame = _rows(dataset, spec)
        log = QuarantineLog()
        patients = patients_of(frame, dataset)
        target = TargetColumn.read(frame, spec, dataset, where=where)
        time = _time(frame, dataset, spec)
        usable = _usable(frame, dataset, spec, patients, target, time, log)
        frame, patients = frame[usable], patients[usable]
        inputs, notes = encode(frame, Columns(dataset, where, dataset.absent), spec.features)
        targets, doubts = target.encoded(usable, classes, identifiers=set(patients))
        return RawSamples(
            inputs=inputs,
            targets=with_time(targets, None if time is None else time[usable], spec),
            patients=patients.tolist(),
            splits=_splits(frame, patients, dataset),
            quarantine=log.result(),
            notes=(*notes, *doubts),
            nameless=dataset.patient is None,
        )


def _rows(dataset: TableDataset, spec: TableSpec) -> pd.DataFrame:
    """Read the table with its joins and its filter, and check that all columns are there."""
    where = str(dataset.path)
    frame = tabular.read_table(dataset.path, dataset)
    frame = tabular.joined(frame, dataset.join, dataset)
    frame = tabular.kept(frame, dataset.filter, where=where, text=dataset)
    names = [f.name for f in spec.features if f.name not in dataset.absent]
    local = [dataset.local(name) for name in [*names, *spec.target_columns]]
    local += [name for name in (dataset.patient, dataset.split) if name]
    tabular.require(frame, local, where=where, text=dataset)
    return frame.reset_index(drop=True)


def patients_of(frame: pd.DataFrame, dataset: TableDataset) -> pd.Series[Any]:
    """Return each row's patient. Without a column, a row is named by its content, so that its place
    does not depend on the rows before it."""
    if dataset.patient is not None:
        return frame[dataset.patient]
    content = frame.agg("\x1f".join, axis=1) if len(frame) else pd.Series([], dtype=str)
    return content + "\x1e" + content.groupby(content).cumcount().astype(str)


def _time(
    frame: pd.DataFrame, dataset: TableDataset, spec: TableSpec
) -> NDArray[np.float64] | None:
    """Return the time of each row's event or last sight in the study's unit, NaN where there is none."""
    if spec.follow_up is None or spec.follow_up.time is None:
        return None
    name = spec.follow_up.time
    text = cells.replaced(frame[dataset.local(name)], dataset.replace.get(name, {}))
    unit = conversion(name, spec.follow_up.unit, dataset, where=str(dataset.path))
    return cells.numbers(text, dataset) * unit.factor + unit.offset


def _usable(
    frame: pd.DataFrame,
    dataset: TableDataset,
    spec: TableSpec,
    patients: pd.Series[Any],
    target: TargetColumn,
    time: NDArray[np.float64] | None,
    log: QuarantineLog,
) -> NDArray[np.bool_]:
    reasons: list[tuple[str, NDArray[np.bool_]]] = []
    if dataset.patient is not None:
        reasons.append(("no patient id", cells.is_missing(patients, dataset)))
    reasons += target.faults()
    if time is not None:
        reasons.append(("no follow-up time", np.isnan(time)))
        reasons.append(("follow-up time before 0", time < 0))
    for feature in spec.features:
        if feature.required and feature.name not in dataset.absent:
            column = frame[dataset.local(feature.name)]
            reasons.append((f"no {feature.name}", cells.is_missing(column, dataset)))
    usable = np.ones(len(frame), dtype=np.bool_)
    for reason, bad in reasons:
        for row in np.flatnonzero(bad & usable):
            log.add(f"{dataset.path.name} row {row + 1}", reason)
        usable &= ~bad
    return usable


def _splits(
    frame: pd.DataFrame, patients: pd.Series[Any], dataset: TableDataset
) -> dict[str, str] | None:
    if dataset.split is None:
        return None
    pairs = zip(patients, frame[dataset.split], strict=True)
    return dict(declared_splits(pairs, where=f"{dataset.path}, column '{dataset.split}'"))
