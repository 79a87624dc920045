"""Plots of audits as drawings: axes, colours, dashed limits, tooltips and a sentence for those who cannot see them."""

from __future__ import annotations

import math

from client.audit import document
from client.audit.sparkline import figure, logarithmic, points
from common.charts.plot import Line, Plot, Rule, tone
from common.charts.scale import Axis, axis, finite, log_axis, whole_axis

WIDTH, HEIGHT = 720, 320
TOP, FOOT, RIGHT_MARGIN = 34, 40, 64
FEW_END_LABELS = 4
LABEL_HEIGHT, LABEL_SHARE = 15, 0.3


def drawing(plot: document.Plot) -> Plot | None:
    """The drawing of a plot; None when no point is finite.

    A dashed curve at one height is a limit, drawn across with its label on it; other dashed curves keep their course.
    """
    curves = [curve for curve in plot.curves if points(curve)]
    if not curves:
        return None
    log_x, log_y = logarithmic([points(curve) for curve in curves])
    shown = [curve for curve in curves if not _is_limit(curve)] or curves
    limits = [curve for curve in curves if curve not in shown]
    y = _vertical([value for curve in curves for _, value in points(curve)], log_y)
    ends = len(shown) <= FEW_END_LABELS
    lines = tuple(
        _line(i, curve, plot.x_label, y if ends else None) for i, curve in enumerate(shown)
    )
    x = _horizontal([at for curve in curves for at, _ in points(curve)], y, log_x)
    return Plot(
        title=plot.title,
        summary=_summary(plot, curves),
        x_label=_axis_label(plot.x_label, log_x),
        y_label=_axis_label(plot.y_label, log_y),
        x=x,
        y=y,
        lines=lines,
        rules=_apart(limits, lines, x, y),
        legend=len(lines) > 1,
        width=WIDTH,
        height=HEIGHT,
    )


def _is_limit(curve: document.Curve) -> bool:
    return curve.dashed and len({y for _, y in points(curve)}) == 1


def _line(index: int, curve: document.Curve, x_label: str, y: Axis | None) -> Line:
    """A curve with a tooltip at each point and, given the axis, its last value at its end."""
    colour, second_turn = tone(index)
    drawn = points(curve)
    texts = tuple(f"{curve.label}, {x_label} {figure(x)}: {figure(value)}" for x, value in drawn)
    end = _end(drawn[-1][1], y) if y else ""
    dashed = curve.dashed or second_turn
    return Line(curve.label, tuple(drawn), colour, dashed, texts, end)


def _end(value: float, y: Axis) -> str:
    """The value as exactly as the axis can show it; nothing at its foot, where the tick says zero."""
    if y.log:
        return figure(value)
    near = round(value, max(0, 3 - math.ceil(math.log10(y.high - y.low))))
    return figure(near) if near else ""


def _apart(
    limits: list[document.Curve], lines: tuple[Line, ...], x: Axis, y: Axis
) -> tuple[Rule, ...]:
    """Limits from the top down, each with its label at the end that curves and the label above leave free."""
    placed: list[Rule] = []
    for curve in sorted(limits, key=lambda each: -points(each)[0][1]):
        value = points(curve)[0][1]
        at_end = _room(lines, value, x, y, end=True) > _room(lines, value, x, y, end=False)
        if placed and abs(y.at(placed[-1].value) - y.at(value)) < LABEL_HEIGHT:
            at_end = not placed[-1].at_end
        placed.append(Rule(value, f"{curve.label} ({figure(value)})", "limit", at_end))
    return tuple(placed)


def _room(lines: tuple[Line, ...], value: float, x: Axis, y: Axis, *, end: bool) -> float:
    """Pixels between a limit's label, at the right or the left, and the nearest point; enough is enough."""
    width = (x.end - x.start) * LABEL_SHARE
    low, high = (x.end - width, x.end) if end else (x.start, x.start + width)
    label = y.at(value) - LABEL_HEIGHT / 2
    near = (
        abs(y.at(value_at) - label)
        for line in lines
        for at, value_at in line.points
        if value_at is not None and low <= x.at(at) <= high
    )
    return min(*near, 2.0 * LABEL_HEIGHT, 2.0 * LABEL_HEIGHT)


def _vertical(values: list[float], logarithmic: bool) -> Axis:
    start, end = HEIGHT - FOOT, TOP
    if logarithmic:
        return log_axis(values, start, end)
    room = [1.04 * max(values)] if max(values) > 0 else []  # a limit's label stands above its line
    return axis(values + room, start, end, limits=(0.0 if min(values) >= 0 else None, None))


def _horizontal(values: list[float], y: Axis, logarithmic: bool) -> Axis:
    left = 16 + 7 * max(len(y.label(tick)) for tick in y.ticks)
    right = WIDTH - RIGHT_MARGIN
    if logarithmic:
        return log_axis(values, left, right)
    if all(value == int(value) and abs(value) < 1e9 for value in finite(values)):
        return whole_axis(int(min(values)), int(max(values)), left, right)
    return axis(values, left, right, parts=8)


def _axis_label(label: str, logarithmic: bool) -> str:
    return f"{label} (logarithmic)" if logarithmic else label


def _summary(plot: document.Plot, curves: list[document.Curve]) -> str:
    parts = []
    for curve in curves:
        (x0, y0), (x1, y1) = points(curve)[0], points(curve)[-1]
        if y0 == y1:
            parts.append(f"{curve.label}: {figure(y0)}")
        else:
            parts.append(
                f"{curve.label}: from {figure(y0)} at {figure(x0)} to {figure(y1)} at {figure(x1)}"
            )
    return f"{plot.y_label} over {plot.x_label}. {'; '.join(parts)}."
