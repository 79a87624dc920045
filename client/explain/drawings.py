"""Drawings of tables and series, as SVG: bars by field, and curves on stretches of colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.explain.colours import paint, strengths
from client.explain.fields import Fields
from common.charts.plot import Line, Plot
from common.charts.scale import axis

Floats = NDArray[np.float32]
MOST_BARS = 20
MOST_CURVES = 8
STRIPS = 160
"""Stretches of colour behind a curve, at most."""
LEFT, RIGHT, TOP, BOTTOM = 56.0, 620.0, 8.0, 96.0
ROW, HALF = 22, 130.0
"""Height of a bar's row, and half the room that bars have, px."""


@dataclass(frozen=True)
class Bar:
    """A field's bar; `x` and `width` in px."""

    name: str
    value: str
    amount: str
    y: int
    x: float
    width: float
    paint: tuple[str, float]


@dataclass(frozen=True)
class Bars:
    """The bars of a table, the longest on top; `others` are shorter and left out."""

    bars: tuple[Bar, ...]
    others: int
    height: int


@dataclass(frozen=True)
class Strip:
    """A stretch of time, px, and its colour with its opacity."""

    x: float
    width: float
    paint: tuple[str, float]


@dataclass(frozen=True)
class Curve:
    """A field over time."""

    title: str
    plot: Plot
    path: str
    strips: tuple[Strip, ...]


def bars(values: Floats, sample: Floats, fields: Fields, signed: bool) -> Bars:
    """Return the bars of a table's fields.

    Args:
        values: [fields].
        sample: [F] as the network sees it.
        fields: what the columns mean.
        signed: whether bars go both ways.
    """
    order = np.argsort(-np.abs(values), kind="stable")[:MOST_BARS]
    top = float(np.abs(values).max(initial=0.0)) or 1.0
    room, foot = (HALF, HALF) if signed else (2 * HALF, 0.0)
    drawn = []
    for row, number in enumerate(order.tolist()):
        length = round(abs(float(values[number])) / top * room, 1)
        drawn.append(
            Bar(
                name=fields.fields[number].name,
                value=fields.fields[number].told(sample[fields.columns(number)]),
                amount=f"{values[number]:{'+' if signed else ''}.3g}".replace("-", "−"),
                y=row * ROW,
                x=foot if values[number] >= 0 else round(foot - length, 1),
                width=length,
                paint=paint(1.0 if values[number] >= 0 else -1.0),
            )
        )
    return Bars(tuple(drawn), len(values) - len(order), len(order) * ROW)


def curves(values: Floats, sample: Floats, fields: Fields) -> list[Curve]:
    """Return the curves of the fields that explain most, in the order of the study.

    Args:
        values: [T, fields], or [T] where only time is explained.
        sample: [T, F] as the network sees it.
        fields: what the columns mean.
    """
    strength = strengths(values)
    each = strength if strength.ndim == 2 else np.repeat(strength[:, None], len(fields.fields), 1)
    order = np.argsort(-np.abs(each).sum(0), kind="stable")[:MOST_CURVES]
    return [
        _curve(fields, number, sample[:, fields.columns(number)], each[:, number])
        for number in sorted(order.tolist())
    ]


def _curve(fields: Fields, number: int, columns: Floats, strength: Floats) -> Curve:
    field, step, steps = fields.fields[number], fields.step, len(columns)
    height = [field.middle + field.half * float(value) for value in columns[:, 0]]
    x = axis([0.0, steps * step], LEFT, RIGHT, limits=(0.0, steps * step))
    y = axis(height, BOTTOM, TOP, parts=3)
    line = Line(field.name, tuple(((i + 0.5) * step, v) for i, v in enumerate(height)), "t0")
    title = f"{field.name} ({field.unit})" if field.unit else field.name
    plot = Plot(title, "", fields.time, title, x, y, lines=(line,))
    edges = np.unique(np.linspace(0, steps, min(STRIPS, steps) + 1).round().astype(int))
    strips = [
        Strip(
            x.at(a * step),
            round(x.at(b * step) - x.at(a * step), 1),
            paint(_strongest(strength[a:b])),
        )
        for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]
    return Curve(title, plot, plot.path(line), tuple(strips))


def _strongest(values: Floats) -> float:
    return float(values[np.abs(values).argmax()])
