"""Reads waveforms from separated text: one column a channel, one row a moment."""

from __future__ import annotations

import io
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells, parquet, tabular
from client.data.signals.config import SignalDataset
from client.data.signals.waveform import (
    MAX_SAMPLES,
    Channel,
    Folder,
    UnusableRecording,
    Waveform,
    is_wanted,
)
from client.data.times import MINUTES
from common.errors import DataError

Moments = NDArray[np.int64]


class TextFormatReader:
    """Reads the text files of one data set (see `Format`)."""

    def __init__(self, dataset: SignalDataset) -> None:
        self._dataset = dataset

    def __call__(self, name: str, folder: Folder, wanted: Collection[str]) -> Waveform:
        """Read the wanted columns."""
        frame = self._frame(name, folder, wanted)
        columns = [column for column in frame.columns if is_wanted(column, wanted)]
        values = {column: cells.numbers(frame[column], self._dataset) for column in columns}
        if not columns:
            return {}
        rate, place = self._clock(frame)
        return {
            column: Channel(_placed(each, place, rate), rate) for column, each in values.items()
        }

    def _frame(self, name: str, folder: Folder, wanted: Collection[str]) -> pd.DataFrame:
        raw, where = folder.read(name), str(self._dataset.path)
        time = self._dataset.time
        columns = _Folded({*wanted, *([time] if time else [])})
        small = name.casefold()
        try:
            if parquet.is_parquet(small):
                return tabular.read_parquet(io.BytesIO(raw), columns, where=where)
            if small.endswith(".gz"):
                return tabular.read_gzip(io.BytesIO(raw), self._dataset, columns, where=where)
            tabs = small.endswith(".tsv")
            return tabular.read_text(
                io.BytesIO(raw), self._dataset, columns, where=where, tabs=tabs
            )
        except DataError as error:
            raise UnusableRecording(error.what.rstrip(".")) from None

    def _clock(self, frame: pd.DataFrame) -> tuple[float, Moments | None]:
        """Return samples a second and the place of each row; no places: the rows follow each other."""
        if self._dataset.time is None:
            if self._dataset.rate_hz is None:
                raise DataError(
                    "A text recording does not say how many samples it has a second.",
                    where=str(self._dataset.path),
                    fix="Set rate_hz, or time = the column of the times, in site.toml.",
                )
            return self._dataset.rate_hz, None
        if self._dataset.time not in frame.columns:
            raise UnusableRecording(f"there is no column '{self._dataset.time}'")
        seconds = cells.numbers(frame[self._dataset.time], self._dataset)
        seconds = seconds * MINUTES[self._dataset.time_unit] * 60.0
        return _regular(seconds, self._dataset.rate_hz)


class _Folded(set[str]):
    """Names, upper and lower case alike."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__(name.casefold() for name in names)

    def __contains__(self, name: Any) -> bool:
        return super().__contains__(str(name).casefold())


def _regular(seconds: NDArray[np.float64], rate: float | None) -> tuple[float, Moments]:
    """Find the rate from the usual distance of two rows, and each row's place on that grid (-1: it has no time)."""
    known = seconds[~np.isnan(seconds)]
    steps = np.diff(np.unique(known))
    if rate is None:
        if len(steps) == 0:
            raise UnusableRecording("the times cannot be read")
        rate = float(1.0 / np.median(steps))
    if len(known) == 0 or (known[-1] - known[0]) * rate > MAX_SAMPLES:
        raise UnusableRecording("the times cannot be read")
    place = np.full(len(seconds), -1, dtype=np.int64)
    usable = ~np.isnan(seconds)
    place[usable] = np.rint((seconds[usable] - known.min()) * rate).astype(np.int64)
    if place.max() > MAX_SAMPLES:
        raise UnusableRecording("the times cannot be read")
    return rate, place


def _placed(values: NDArray[np.float64], place: Moments | None, rate: float) -> NDArray[np.float32]:
    """Average the values that share a place; a place without one was lost."""
    if place is None:
        return values.astype(np.float32)
    usable = (place >= 0) & ~np.isnan(values)
    size = int(place.max()) + 1
    counts = np.bincount(place[usable], minlength=size)
    sums = np.bincount(place[usable], weights=values[usable], minlength=size)
    with np.errstate(invalid="ignore"):
        return (sums / counts).astype(np.float32)
