"""Collects readings into the steps of a window, and turns the steps into inputs.

Only sums, extremes and last values are held, [records, steps] for each variable: readings may be added block by block,
in any order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from common.data_spec import RecordSpec, Variable

Floats = NDArray[np.float64]


class Steps:
    """The readings of one variable, by record and step."""

    def __init__(self, variable: Variable, records: int, spec: RecordSpec) -> None:
        self._variable, self._spec = variable, spec
        self._shape = (records, spec.window_steps)
        size = records * spec.window_steps
        start = {"minimum": np.inf, "maximum": -np.inf}.get(variable.combine, 0.0)
        self._value = np.full(size, start)
        self._count = np.zeros(size, np.int64)
        self._latest = np.full(size, -np.inf) if variable.combine == "last" else np.empty(0)

    def add(self, record: NDArray[np.int64], minutes: Floats, values: Floats) -> None:
        """Add readings, all inside the window; `minutes` count from its start."""
        step = np.floor(minutes / self._spec.step_minutes).astype(np.int64)
        place = record * self._shape[1] + np.clip(step, 0, self._shape[1] - 1)
        np.add.at(self._count, place, 1)
        combine = self._variable.combine
        if combine == "mean":
            np.add.at(self._value, place, values)
        elif combine == "minimum":
            np.minimum.at(self._value, place, values)
        elif combine == "maximum":
            np.maximum.at(self._value, place, values)
        else:
            self._add_last(place, minutes, values)

    def _add_last(self, place: NDArray[np.int64], minutes: Floats, values: Floats) -> None:
        order = np.argsort(minutes, kind="stable")
        place, minutes, values = place[order], minutes[order], values[order]
        newer = minutes >= self._latest[place]
        self._latest[place[newer]] = minutes[newer]
        self._value[place[newer]] = values[newer]

    @property
    def own(self) -> NDArray[np.bool_]:
        """Which steps have a reading of their own, [records, steps]."""
        return np.asarray((self._count > 0).reshape(self._shape))

    @property
    def readings(self) -> NDArray[np.int64]:
        """How many readings each record has, [records]."""
        return np.asarray(self._count.reshape(self._shape).sum(axis=1), np.int64)

    def inputs(self) -> NDArray[np.float32]:
        """Return [records, steps, width] in [-1, 1]."""
        variable = self._variable
        own = self.own
        divisor = np.maximum(self._count, 1) if variable.combine == "mean" else 1
        value = (self._value / divisor).reshape(self._shape)
        level, good = self._carried(value, own)
        middle, half = _middle(variable)
        fill = middle if variable.fill is None else variable.fill
        filled = np.clip(np.where(good, level, fill), variable.minimum, variable.maximum)
        parts = [(filled - middle) / half]
        if variable.missing_indicator:
            parts.append(np.where(own, -1.0, 1.0))
        return np.stack(parts, axis=2).astype(np.float32)

    def _carried(self, value: Floats, own: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """Take the last value before a step that has none, if it is not too old."""
        step = np.arange(self._shape[1])
        last = np.maximum.accumulate(np.where(own, step, -1), axis=1)
        age = (step - last) * self._spec.step_minutes
        good = (last >= 0) & (age <= self._variable.carry_minutes)
        return np.take_along_axis(value, np.maximum(last, 0), axis=1), good


def _middle(variable: Variable) -> tuple[float, float]:
    """Return the middle of the range and half its length."""
    return (
        (variable.minimum + variable.maximum) / 2.0,
        (variable.maximum - variable.minimum) / 2.0,
    )
