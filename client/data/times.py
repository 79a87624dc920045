"""Reads times of readings: plain numbers with a unit, or dates in the many ways they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells
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
_MONTH_FIRST = r"\d{1,2}[/-](?:1[3-9]|2\d|3[01])[/-].*"
_EITHER = r"\d{1,2}[/-]\d{1,2}[/-].*"
_NUMBER = r"-?(?:\d{1,7}(?:\.\d*)?|\d{10}(?:\.\d*)?|\d{13}(?:\.\d*)?)"
"""Minutes and the like, and seconds or milliseconds since 1970; dates without marks have 8, 12 or 14 digits."""
_YEAR_FIRST = r"[+-]?\d{4}.*"


@dataclass(frozen=True)
class Clock:
    """How a site writes its times.

    Attributes:
        unit: of times that are plain numbers; none: they are dates.
        form: strptime format of dates; none: recognised.
        text: how the table is written.
        where: the file, for messages.
        days: what the dates that were read so far are: day first (True), or taken for month first (False).
    """

    unit: str | None
    form: str | None
    text: TextFormat
    where: str
    days: set[bool] = field(default_factory=set, repr=False)

    def minutes(self, values: pd.Series[Any], column: str) -> NDArray[np.float64]:
        """Return minutes since an arbitrary origin, NaN where a time cannot be read.

        Raises:
            DataError: no time can be read at all.
        """
        missing = cells.is_missing(values, self.text)
        if self.unit is not None:
            minutes = cells.numbers(values, self.text) * MINUTES[self.unit]
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
        if self.form is None:
            parsed = self._recognised(values, column)
        else:
            parsed = pd.to_datetime(values, format=self.form, errors="coerce", utc=True)
        since = (parsed - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds()
        return np.array(since, dtype=np.float64) / 60.0

    def _recognised(self, values: pd.Series[Any], column: str) -> pd.Series[Any]:
        """Read ISO 8601, and what is not each on its own; never plain numbers.

        One date that can only be day first makes all others so that are no ISO 8601. Those that then can only be month
        first are not read.
        """
        self._not_numbers(values, column)
        parsed = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
        others = values[parsed.isna() & ~values.str.fullmatch(_YEAR_FIRST)]
        self.look(others)
        if self.days == {True, False}:
            raise DataError(
                f"Dates in column '{column}' are day first, and those read before were taken for month first.",
                where=self.where,
                fix="Set time_format in site.toml (e.g. '%d/%m/%Y %H:%M').",
            )
        day_first = True in self.days
        if day_first:
            others = others[~others.str.fullmatch(_MONTH_FIRST)]
        parsed[others.index] = pd.to_datetime(
            others, format="mixed", errors="coerce", utc=True, dayfirst=day_first
        )
        return parsed

    def look(self, values: pd.Series[Any]) -> None:
        """Note what dates are that are to be read by the same clock, before any of them is."""
        if values.str.fullmatch(_DAY_FIRST).any():
            self.days.add(True)
        elif True not in self.days and values.str.fullmatch(_EITHER).any():
            self.days.add(False)

    def _not_numbers(self, values: pd.Series[Any], column: str) -> None:
        some = values[values != ""].head(200)
        if len(some) and some.str.fullmatch(_NUMBER).all():
            raise DataError(
                f"The times in column '{column}' are plain numbers.",
                where=self.where,
                fix="Set time_unit to seconds, minutes, hours, days or milliseconds in site.toml.",
            )
