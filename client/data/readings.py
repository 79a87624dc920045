"""Reads a series data set: files of readings → per recording, times in minutes and values."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import tabular
from client.data.config import SeriesDataset
from client.data.files import File, Reader, unpack, walk
from client.data.quarantine import QuarantineLog
from common.errors import DataError

FROM_FILE = "<file>"
_ENDINGS = (".csv", ".csv.gz", ".tsv", ".txt", ".data")
_MINUTES = {"milliseconds": 1 / 60_000, "seconds": 1 / 60, "minutes": 1.0, "hours": 60.0}
_MINUTES["days"] = 1440.0


@dataclass(frozen=True)
class Recording:
    """Readings of one patient on one clock, in order of time.

    Attributes:
        patient: identifier.
        minutes: [N] times, minutes since an arbitrary origin.
        values: [N] in the study's units, none missing.
    """

    patient: str = field(repr=False)
    minutes: NDArray[np.float64]
    values: NDArray[np.float64]


def recordings(dataset: SeriesDataset, log: QuarantineLog) -> list[Recording]:
    """Read all files of a data set.

    Raises:
        DataError: no file is usable, or the columns cannot be read.
    """
    frame = pd.concat(_frames(dataset, log), ignore_index=True)
    where = str(dataset.path)
    frame = tabular.joined(frame, dataset.join, dataset)
    needed = [dataset.patient] if dataset.patient != FROM_FILE else []
    tabular.require(frame, needed, where=where, text=dataset)
    frame = tabular.kept(frame, dataset.filter, where=where, text=dataset)
    return _grouped(frame, dataset, log)


def _frames(dataset: SeriesDataset, log: QuarantineLog) -> list[pd.DataFrame]:
    """Read every file; one that cannot be used is left out unless none can."""
    if not dataset.path.exists():
        raise DataError(
            "There is no such file or folder.", where=str(dataset.path), fix="Correct the path."
        )
    files = [f for f in unpack(walk(dataset.path, log.add), log.add) if _is_ours(f, dataset)]
    frames: list[pd.DataFrame] = []
    problem = DataError("There is no file of readings.", fix="Check path and files in site.toml.")
    with Reader() as reader:
        for file in files:
            try:
                frames.append(_frame(file, reader, dataset))
            except DataError as error:
                problem = error
                log.add(file.name, f"file: {error.what.rstrip('.')}")
    if frames:
        return frames
    raise DataError(problem.what, where=str(dataset.path), fix=problem.fix)


def _is_ours(file: File, dataset: SeriesDataset) -> bool:
    if dataset.files is not None:
        return fnmatch.fnmatch(file.name, dataset.files)
    single = file.member is None and file.path == str(dataset.path)
    return single or file.name.casefold().endswith(_ENDINGS)


def _frame(file: File, reader: Reader, dataset: SeriesDataset) -> pd.DataFrame:
    """Read the needed columns of one file; `<file>` becomes the patient's column."""
    where = str(dataset.path)
    wanted = {dataset.time, dataset.value, *dataset.filter}
    wanted |= {name for name in (dataset.patient, dataset.record) if name}
    wanted |= {name for join in dataset.join for name in join.on}
    with reader.open(file) as stream:
        if file.name.casefold().endswith(".gz"):
            frame = tabular.read_gzip(stream, dataset, wanted, where=where)
        else:
            tabs = file.name.casefold().endswith(".tsv")
            frame = tabular.read_text(stream, dataset, wanted, where=where, tabs=tabs)
    tabular.require(frame, [dataset.time, dataset.value], where=where, text=dataset)
    if dataset.patient == FROM_FILE:
        frame[FROM_FILE] = PurePosixPath(file.name.removesuffix(".gz")).stem
    return frame


def _grouped(frame: pd.DataFrame, dataset: SeriesDataset, log: QuarantineLog) -> list[Recording]:
    """Parse, drop what is missing and split by patient and recording."""
    values = tabular.replaced(frame[dataset.value], dataset.replace.get("value", {}))
    value = tabular.numbers(values, dataset) * dataset.factor + dataset.offset.get("value", 0.0)
    minutes = _times(frame[dataset.time], dataset)
    nameless = tabular.is_missing(frame[dataset.patient], dataset)
    _count(log, nameless, "reading without patient id")
    _count(log, np.isnan(minutes) & ~nameless, "reading without a usable time")
    _count(log, np.isnan(value) & ~np.isnan(minutes) & ~nameless, "reading without a value")
    usable = ~nameless & ~np.isnan(minutes) & ~np.isnan(value)
    clean = pd.DataFrame({"minutes": minutes[usable], "value": value[usable]})
    keys = [frame[dataset.patient][usable].to_numpy()]
    if dataset.record is not None:
        tabular.require(frame, [dataset.record], where=str(dataset.path), text=dataset)
        keys.append(frame[dataset.record][usable].to_numpy())
    return [
        Recording(str(key[0]), group["minutes"].to_numpy(), group["value"].to_numpy())
        for key, group in clean.sort_values("minutes", kind="stable").groupby(_by(keys, clean))
    ]


def _by(keys: list[NDArray[Any]], clean: pd.DataFrame) -> list[Any]:
    """Rows of `keys` follow the unsorted frame: bind them to its index."""
    return [pd.Series(key, index=clean.index) for key in keys]


def _count(log: QuarantineLog, bad: NDArray[np.bool_], reason: str) -> None:
    for row in np.flatnonzero(bad):
        log.add(f"row {row + 1}", reason)


def _times(values: pd.Series[Any], dataset: SeriesDataset) -> NDArray[np.float64]:
    """Return minutes, NaN where a time cannot be read.

    Raises:
        DataError: no time can be read at all.
    """
    missing = tabular.is_missing(values, dataset)
    if dataset.time_unit is not None:
        minutes = tabular.numbers(values, dataset)
        minutes *= _MINUTES[dataset.time_unit]
    else:
        minutes = _dates(values, dataset)
    minutes[missing] = np.nan
    if len(minutes) and np.isnan(minutes).all():
        raise DataError(
            f"No time in column '{dataset.time}' can be read.",
            where=str(dataset.path),
            fix="Set time_format (e.g. '%d.%m.%Y %H:%M'), or time_unit for plain numbers.",
        )
    return minutes


def _dates(values: pd.Series[Any], dataset: SeriesDataset) -> NDArray[np.float64]:
    """Read dates; offsets from UTC are honoured, dates without one are taken as they stand."""
    form = dataset.time_format or _guess(values, dataset)
    parsed = pd.to_datetime(values, format=form, errors="coerce", utc=True)
    since = (parsed - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds()
    return np.array(since, dtype=np.float64) / 60.0


def _guess(values: pd.Series[Any], dataset: SeriesDataset) -> str:
    """ISO 8601 unless most dates are not; then each date on its own (never plain numbers)."""
    some = values[values != ""].head(200)
    if len(some) and some.str.fullmatch(r"-?\d{1,7}(\.\d*)?").all():
        raise DataError(
            f"The times in column '{dataset.time}' are plain numbers.",
            where=str(dataset.path),
            fix="Set time_unit to seconds, minutes, hours, days or milliseconds in site.toml.",
        )
    readable = pd.to_datetime(some, format="ISO8601", errors="coerce", utc=True).notna().mean()
    return "ISO8601" if readable > 0.5 else "mixed"
