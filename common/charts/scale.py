"""Axes: round tick values, and from values to pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from common.charts.numbers import count, fixed, size, tiny

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_WHOLE_STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """An axis: linear, or logarithmic to base ten.

    Attributes:
        low: value at pixel `start`.
        high: value at pixel `end`.
        ticks: values to mark.
        start: pixel of `low`.
        end: pixel of `high`.
        unit: "" for plain numbers, "bytes" for sizes.
        log: logarithmic; then all values are above 0.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    start: float
    end: float
    unit: str = ""
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of `value`, one decimal."""
        if self.log:
            low, high = math.log10(self.low), math.log10(self.high)
            share = (math.log10(value) - low) / (high - low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def label(self, tick: float) -> str:
        """The text at a tick: as many decimals as the step needs."""
        if self.unit == "bytes":
            return size(tick)
        if self.log:
            return tiny(tick) if tick < 1e-3 or tick >= 1e6 else f"{tick:,.10g}"
        step = self.ticks[1] - self.ticks[0] if len(self.ticks) > 1 else 1.0
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        decimals += round(step * 10**decimals, 6) % 1 != 0
        return fixed(tick, decimals) if decimals or abs(tick) >= 1e12 else count(tick)


def finite(values: Iterable[float | None]) -> list[float]:
    """The values that can be drawn."""
    return [value for value in values if value is not None and math.isfinite(value)]


def nice_step(span: float, parts: int, steps: tuple[float, ...] = _STEPS) -> float:
    """The smallest of `steps` × 10ⁿ that divides `span` into at most `parts` steps."""
    power = 10.0 ** math.floor(math.log10(span / parts))
    return next(step * power for step in steps if step * power * parts >= span * (1 - 1e-9))


def axis(
    values: Iterable[float | None],
    start: float,
    end: float,
    *,
    limits: tuple[float | None, float | None] = (None, None),
    parts: int = 5,
    unit: str = "",
) -> Axis:
    """An axis that holds all `values`, widened to round numbers except at the given limits."""
    drawn = finite(values)
    low = min(drawn, default=0.0) if limits[0] is None else limits[0]
    high = max(drawn, default=1.0) if limits[1] is None else limits[1]
    if high - low <= 1e-12 * max(1.0, abs(low), abs(high)):
        room = max(1.0, abs(low))
        low, high = (low, low + room) if limits[1] is None else (high - room, high)
    step = nice_step(high - low, parts)
    low = math.floor(low / step + 1e-9) * step if limits[0] is None else low
    high = math.ceil(high / step - 1e-9) * step if limits[1] is None else high
    first = math.ceil(low / step - 1e-9)
    ticks = [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
    return Axis(low, high, tuple(ticks), start, end, unit)


def whole_axis(low: int, high: int, start: float, end: float) -> Axis:
    """An axis of whole numbers, such as rounds."""
    high = max(high, low + 1)
    step = max(1, round(nice_step(high - low, 10, _WHOLE_STEPS)))
    first = math.ceil(low / step) * step
    return Axis(low, high, tuple(float(tick) for tick in range(first, high + 1, step)), start, end)


def log_axis(values: Iterable[float | None], start: float, end: float, *, parts: int = 8) -> Axis:
    """A logarithmic axis from one power of ten to another that holds all `values`, which are above 0."""
    drawn = finite(values) or [1.0]
    low = max(-300, math.floor(math.log10(min(drawn)) + 1e-9))
    high = max(math.ceil(math.log10(max(drawn)) - 1e-9), low + 1)
    step = math.ceil((high - low) / parts)
    ticks = tuple(10.0**power for power in range(low, high + 1, step))
    return Axis(10.0**low, 10.0**high, ticks, start, end, log=True)


def spans_decades(values: Iterable[float | None], decades: int = 3) -> bool:
    """Whether the values are all above 0 and so far apart that a linear axis would hide most of them."""
    drawn = finite(values)
    return bool(drawn) and min(drawn) > 0 and max(drawn) / min(drawn) >= 10.0**decades
