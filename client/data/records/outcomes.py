"""Reads the table with one row a record: whose it is, when it starts, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, tabular
from client.data.features import Columns, encode
from client.data.quarantine import QuarantineLog
from client.data.records.config import RecordDataset
from client.data.split import declared_splits
from client.data.target_column import TargetColumn
from client.data.targets import with_time
from client.data.times import Clock
from common.data_spec import RecordSpec
from common.data_spec.follow_up import MINUTES
from common.errors import DataError


@dataclass(frozen=True)
class Outcomes:
    """The records that can be used, in the table's order.

    Attributes:
        keys: as the readings name them.
        patients: whose they are.
        start: [R] minutes at which a record's window starts, on the readings' clock.
        targets: [R] classes, [R, 1] numbers in [-1, 1], or [R, 2] intervals lived through and the event.
        features: [R, F] what is known from the start.
        clock: on which times of outcomes and readings are read.
        splits: "train" or "test" by patient; none: to be drawn.
        notes: about columns that look wrong.
    """

    keys: Sequence[str] = field(repr=False)
    patients: Sequence[str] = field(repr=False)
    start: NDArray[np.float64]
    targets: NDArray[Any]
    features: NDArray[np.float32]
    clock: Clock
    splits: Mapping[str, str] | None = field(repr=False)
    notes: tuple[str, ...] = ()


def read_outcomes(
    dataset: RecordDataset, spec: RecordSpec, classes: Sequence[str] | None, log: QuarantineLog
) -> Outcomes:
    """Read, join and filter the table; rows that cannot be used are left out.

    Raises:
        DataError: the table cannot be used, or a record has two rows.
    """
    where = str(dataset.outcomes)
    frame = _rows(dataset, spec)
    clock = clock_of(dataset, frame)
    start = _start(frame, dataset, spec, clock)
    known = _known(frame, dataset, spec, clock)
    target = TargetColumn.read(frame, spec, dataset, where=where)
    usable = _usable(frame, start, known, dataset, spec, target, log)
    frame, start = frame[usable].reset_index(drop=True), start[usable]
    features, notes = encode(frame, Columns(dataset, where, dataset.absent), spec.features)
    patients = frame[dataset.patient].tolist()
    targets, doubts = target.encoded(usable, classes, identifiers=set(patients))
    after = None if known is None else known[usable] - start - spec.history_minutes
    return Outcomes(
        keys=frame[dataset.record].tolist(),
        patients=patients,
        start=start,
        targets=with_time(targets, _in_unit(after, spec), spec),
        features=features,
        clock=clock,
        splits=_splits(frame, dataset, where),
        notes=(*notes, *doubts),
    )


def _rows(dataset: RecordDataset, spec: RecordSpec) -> pd.DataFrame:
    where = str(dataset.outcomes)
    text = dataset.model_copy(update={"header": None})
    frame = tabular.read_table(dataset.outcomes, text)
    frame = tabular.joined(frame, dataset.join, text)
    frame = tabular.kept(frame, dataset.filter, where=where, text=text)
    features = [f.name for f in spec.features if f.name not in dataset.absent]
    names = [dataset.local(name) for name in [*features, spec.target]]
    times = (dataset.anchor, dataset.outcome_time, dataset.split)
    names += [dataset.record, dataset.patient, *(name for name in times if name)]
    tabular.require(frame, names, where=where, text=text)
    frame = frame.reset_index(drop=True)
    double = int(frame[dataset.record][frame[dataset.record] != ""].duplicated().sum())
    if double:
        raise DataError(
            f"{double} rows repeat a key in '{dataset.record}'.",
            where=where,
            fix="Add filter = {column = value}, so that every record has one row.",
        )
    return frame


def _start(
    frame: pd.DataFrame, dataset: RecordDataset, spec: RecordSpec, clock: Clock
) -> NDArray[np.float64]:
    """Return when each record's window starts, NaN where its time zero cannot be read."""
    if dataset.anchor is None:
        return np.full(len(frame), spec.start_minutes)
    return clock.minutes(frame[dataset.anchor], dataset.anchor) + spec.start_minutes


def clock_of(dataset: RecordDataset, frame: pd.DataFrame) -> Clock:
    """Return the clock of a data set, after a look at all dates of its table of records."""
    clock = Clock(dataset.time_unit, dataset.time_format, dataset, str(dataset.outcomes))
    for name in (dataset.anchor, dataset.outcome_time):
        if name is not None and name in frame.columns:
            clock.look(frame[name])
    return clock


def _known(
    frame: pd.DataFrame, dataset: RecordDataset, spec: RecordSpec, clock: Clock
) -> NDArray[np.float64] | None:
    """Return when each outcome was known, on the readings' clock; none where the site does not say.

    Raises:
        DataError: the study follows patients up, and the site does not say for how long.
    """
    if dataset.outcome_time is not None:
        return clock.minutes(frame[dataset.outcome_time], dataset.outcome_time)
    if spec.follow_up is None:
        return None
    raise DataError(
        "The study asks when the event came, or when a patient was last seen.",
        where=str(dataset.outcomes),
        fix="Name the column in site.toml: outcome_time.",
    )


def _in_unit(minutes: NDArray[np.float64] | None, spec: RecordSpec) -> NDArray[np.float64] | None:
    """Return times after the window in the follow-up's unit."""
    if minutes is None or spec.follow_up is None:
        return None
    return minutes / MINUTES[spec.follow_up.unit]


def _usable(
    frame: pd.DataFrame,
    start: NDArray[np.float64],
    known: NDArray[np.float64] | None,
    dataset: RecordDataset,
    spec: RecordSpec,
    target: TargetColumn,
    log: QuarantineLog,
) -> NDArray[np.bool_]:
    def missing(name: str) -> NDArray[np.bool_]:
        return cells.is_missing(frame[name], dataset)

    reasons = [
        ("no record key", missing(dataset.record)),
        ("no patient id", missing(dataset.patient)),
        *target.faults(),
        ("no time zero", np.isnan(start)),
    ]
    needed = [f.name for f in spec.features if f.required and f.name not in dataset.absent]
    reasons += [(f"no {name}", missing(dataset.local(name))) for name in needed]
    if known is not None:
        reasons.append(("no time of the outcome", np.isnan(known)))
        early = known < start + spec.history_minutes + spec.lead_minutes
        reasons.append(("outcome known before the window's end", early))
    usable = np.ones(len(frame), dtype=np.bool_)
    for reason, bad in reasons:
        for row in np.flatnonzero(bad & usable):
            log.add(f"{dataset.outcomes.name} row {row + 1}", reason)
        usable &= ~bad
    return usable


def _splits(frame: pd.DataFrame, dataset: RecordDataset, where: str) -> dict[str, Any] | None:
    if dataset.split is None:
        return None
    pairs = zip(frame[dataset.patient], frame[dataset.split], strict=True)
    return dict(declared_splits(pairs, where=f"{where}, column '{dataset.split}'"))
