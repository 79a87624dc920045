"""Reads a series data set: files of readings → per recording, times in minutes and values."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, parquet, tabular
from client.data.config import SeriesDataset
from client.data.config_base import TextFormat
from client.data.files import File, Reader, unpack, walk
from client.data.quarantine import QuarantineLog
from client.data.times import Clock
from client.data.units import Conversion, conversion
from common.errors import DataError

FROM_FILE = "<file>"
_ENDINGS = (".csv", ".csv.gz", ".tsv", ".txt", ".data", *parquet.ENDINGS)


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


def recordings(dataset: SeriesDataset, log: QuarantineLog, unit: str = "") -> list[Recording]:
    """Read all files of a data set.

    Args:
        dataset: the site's description.
        log: takes what is left out.
        unit: the study's.

    Raises:
        DataError: no file is usable, or the columns cannot be read.
    """
    where = str(dataset.path)
    to_study = _conversion(dataset, unit, where)
    frame = pd.concat(_frames(dataset, log), ignore_index=True)
    frame = tabular.joined(frame, dataset.join, dataset)
    needed = [dataset.patient] if dataset.patient != FROM_FILE else []
    tabular.require(frame, needed, where=where, text=dataset)
    frame = tabular.kept(frame, dataset.filter, where=where, text=dataset)
    return _grouped(frame, dataset, log, to_study)


def _conversion(dataset: SeriesDataset, unit: str, where: str) -> Conversion:
    """A scale stated as one number is the reading's."""
    offset = dataset.offset.get("value", 0.0)
    if dataset.factor != 1.0 or offset:
        return Conversion(dataset.factor, offset)
    text = dataset.model_copy(update={"scale": {}})
    return conversion("value", unit, text, where=where)


def _frames(dataset: SeriesDataset, log: QuarantineLog) -> list[pd.DataFrame]:
    """Read every file; one that cannot be used is left out unless none can."""
    if not dataset.path.exists():
        raise DataError(
            "There is no such file or folder.", where=str(dataset.path), fix="Correct the path."
        )
    files = [f for f in unpack(walk(dataset.path, log.add), log.add) if is_ours(f, dataset)]
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


def is_ours(file: File, dataset: SeriesDataset) -> bool:
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
    frame = read_file(file, reader, dataset, wanted, where=where)
    tabular.require(frame, [dataset.time, dataset.value], where=where, text=dataset)
    if dataset.patient == FROM_FILE:
        frame[FROM_FILE] = PurePosixPath(file.name.removesuffix(".gz")).stem
    return frame


def read_file(
    file: File, reader: Reader, text: TextFormat, wanted: Collection[str], *, where: str
) -> pd.DataFrame:
    """Read some columns of a table that may lie in an archive; its ending tells its format.

    Raises:
        DataError: it is not such a table.
        OSError: the archive is damaged.
    """
    with reader.open(file) as stream:
        if parquet.is_parquet(file.name):
            return tabular.read_parquet(stream, wanted, where=where)
        if file.name.casefold().endswith(".gz"):
            return tabular.read_gzip(stream, text, wanted, where=where)
        tabs = file.name.casefold().endswith(".tsv")
        return tabular.read_text(stream, text, wanted, where=where, tabs=tabs)


def _grouped(
    frame: pd.DataFrame, dataset: SeriesDataset, log: QuarantineLog, unit: Conversion
) -> list[Recording]:
    """Parse, drop what is missing and split by patient and recording."""
    values = cells.replaced(frame[dataset.value], dataset.replace.get("value", {}))
    value = cells.numbers(values, dataset) * unit.factor + unit.offset
    clock = Clock(dataset.time_unit, dataset.time_format, dataset, str(dataset.path))
    minutes = clock.minutes(frame[dataset.time], dataset.time)
    nameless = cells.is_missing(frame[dataset.patient], dataset)
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
