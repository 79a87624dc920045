"""Reads times of readings: plain numbers with a unit, or dates in the many ways they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import tabular
from client.data.config_base import TextFormat
from common.errors import DataError

MINUTES = {
    "milliseconds": 1 / 60_000,
    "seconds": 1 / 60,
    "minutes": 1.0,
    "hours": 60.0,
    "days": 1440.0,
}
_DAY_FIRST = r"(?:\d{1,2}\.\d{1,2}\.|(?:1[3-9]|2\d|3[01])[/-]\d{1,2}[/-]).*"


@dataclass(frozen=True)
class Clock:
    """How a site writes its times.

    Attributes:
        unit: of times that are plain numbers; none: they are dates.
        form: strptime format of dates; none: recognised.
        text: how the table is written.
        where: the file, for messages.
    """

    unit: str | None
    form: str | None
    text: TextFormat
    where: str

    def minutes(self, values: pd.Series[Any], column: str) -> NDArray[np.float64]:
        """Return minutes since an arbitrary origin, NaN where a time cannot be read.

        Raises:
            DataError: no time can be read at all.
        """
        missing = tabular.is_missing(values, self.text)
        if self.unit is not None:
            minutes = tabular.numbers(values, self.text) * MINUTES[self.unit]
        else:
            minutes = self._dates(values, column)
        minutes[missing] = np.nan
        if not missing.all() and np.isnan(minutes).all():
            raise DataError(
                f"No time in column '{column}' can be read.",
                where=self.where,
                fix="Set time_format (e.g. '%d.%m.%Y %H:%M'), or time_unit for plain numbers.",
            )
        return minutes

    def _dates(self, values: pd.Series[Any], column: str) -> NDArray[np.float64]:
        """Read dates; offsets from UTC are honoured, dates without one are taken as they stand."""
        form, day_first = self.form, False
        if form is None:
            form = self._guess(values, column)
            day_first = form == "mixed" and bool(values.str.fullmatch(_DAY_FIRST).any())
        parsed = pd.to_datetime(values, format=form, errors="coerce", utc=True, dayfirst=day_first)
        since = (parsed - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds()
        return np.array(since, dtype=np.float64) / 60.0

    def _guess(self, values: pd.Series[Any], column: str) -> str:
        """ISO 8601 unless most dates are not; then each date on its own (never plain numbers).

        One date that can only be day first makes all of the column day first.
        """
        some = values[values != ""].head(200)
        if len(some) and some.str.fullmatch(r"-?\d{1,7}(\.\d*)?").all():
            raise DataError(
                f"The times in column '{column}' are plain numbers.",
                where=self.where,
                fix="Set time_unit to seconds, minutes, hours, days or milliseconds in site.toml.",
            )
        readable = pd.to_datetime(some, format="ISO8601", errors="coerce", utc=True).notna().mean()
        return "ISO8601" if readable > 0.5 else "mixed"
