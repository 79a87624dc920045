"""A plot in a few characters: the shape of each curve, and where it begins and ends."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from statistics import median

from client.audit.document import Curve, Plot
from common.charts.scale import spans_decades

Points = list[tuple[float, float]]
_LEVELS = "▁▂▃▄▅▆▇█"
WIDTH = 24
CROWDED = 0.1  # of the axis


def curve_rows(plot: Plot) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Columns, and a row for each curve: label, shape over the plot's whole x range, first, last and greatest value."""
    curves = [(curve.label, points(curve)) for curve in plot.curves]
    every = [point for _, drawn in curves for point in drawn]
    x = [at for at, _ in every]
    span = f"{plot.x_label} {figure(min(x))} to {figure(max(x))}" if x else plot.x_label
    logs = logarithmic([drawn for _, drawn in curves])
    frame = _scaled(every, logs)
    rows = ((label, *_row(drawn, _scaled(drawn, logs), frame)) for label, drawn in curves)
    return (plot.y_label, span, "first", "last", "greatest"), tuple(rows)


def points(curve: Curve) -> Points:
    """The points that can be drawn, by x."""
    pairs = zip(curve.x, curve.y, strict=False)
    return sorted((x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y))


def logarithmic(curves: Sequence[Points]) -> tuple[bool, bool]:
    """Whether x and y are better shown on a logarithmic axis.

    x: where most points would crowd at the left. y: where whole curves would vanish beside others.
    """
    x = [at for drawn in curves for at, _ in drawn]
    every = [y for drawn in curves for _, y in drawn]
    peaks = [max(y for _, y in drawn) for drawn in curves if drawn]
    above = bool(every) and min(every) > 0
    crowded = bool(x) and median(x) < min(x) + CROWDED * (max(x) - min(x))
    return crowded and spans_decades(x), above and spans_decades(peaks)


def figure(value: float) -> str:
    """Four significant digits."""
    return f"{value:,.4g}" if 1e-3 <= abs(value) < 1e4 or not value else f"{value:.4g}"


def _scaled(drawn: Points, logs: tuple[bool, bool]) -> Points:
    """The points as the axes place them."""
    return [(math.log10(x) if logs[0] else x, math.log10(y) if logs[1] else y) for x, y in drawn]


def _row(drawn: Points, scaled: Points, frame: Points) -> tuple[str, ...]:
    if not drawn:
        return ("", "–", "–", "–")
    values = [y for _, y in drawn]
    return (_shape(scaled, frame), *map(figure, (values[0], values[-1], max(values))))


def _shape(drawn: Points, frame: Points) -> str:
    """The curve at `WIDTH` places across the frame; blank where it has not begun or has ended."""
    left, right = min(x for x, _ in frame), max(x for x, _ in frame)
    low, high = min(0.0, *(y for _, y in frame)), max(y for _, y in frame)
    half = (right - left) / (WIDTH - 1) / 2
    places = [left + 2 * half * step for step in range(WIDTH)] if half else [left]
    begin, end = drawn[0][0] - half, drawn[-1][0] + half
    return "".join(
        _LEVELS[_level(_between(drawn, at), low, high)] if begin <= at <= end else " "
        for at in places
    )


def _between(drawn: Points, at: float) -> float:
    """Linear interpolation; the nearest end outside."""
    index = bisect_left(drawn, at, key=lambda point: point[0])
    if index in (0, len(drawn)):
        return drawn[min(index, len(drawn) - 1)][1]
    (x0, y0), (x1, y1) = drawn[index - 1], drawn[index]
    return y0 + (y1 - y0) * ((at - x0) / (x1 - x0))


def _level(value: float, low: float, high: float) -> int:
    share = (value - low) / (high - low) if high > low else 0.0
    return round(share * (len(_LEVELS) - 1))
