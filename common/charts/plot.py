"""Line and bar plots as geometry; `templates/plots.j2` turns them into inline SVG.

Drawn by hand, not by a plotting library, so that text stays text in the page's own type, colours
follow the reader's light or dark screen, and the same run gives the same bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from common.charts.scale import Axis, axis, finite

Points = tuple[tuple[float, float | None], ...]
MANY_POINTS = 40
TONES = 6


@dataclass(frozen=True)
class Line:
    """One curve. `tone` is a colour class; `texts` holds a tooltip for each point."""

    name: str
    points: Points
    tone: str
    dashed: bool = False
    texts: tuple[str, ...] = ()
    end: str = ""


@dataclass(frozen=True)
class Band:
    """The space between two curves over the same x."""

    name: str
    x: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    tone: str


@dataclass(frozen=True)
class Rule:
    """A horizontal reference line with its label, at the start or the end of the line."""

    value: float
    label: str
    tone: str = "quiet"
    at_end: bool = False


@dataclass(frozen=True)
class Plot:
    """A plot in user units (pixels at its natural size), for the template.

    Attributes:
        summary: the plot in one sentence, for those who do not see it.
        y_label: what the vertical axis shows, with its unit.
    """

    title: str
    summary: str
    x_label: str
    y_label: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    rules: tuple[Rule, ...] = ()
    bars: Points = ()
    bar_texts: tuple[str, ...] = ()
    diagonal: bool = False
    legend: bool = True
    width: int = 460
    height: int = 280

    def path(self, line: Line) -> str:
        """The SVG path of a curve; it breaks where a value is missing."""
        parts, pen = [], "M"
        for x, y in line.points:
            if y is None or not math.isfinite(y):
                pen = "M"
                continue
            parts.append(f"{pen}{self.x.at(x):g} {self.y.at(y):g}")
            pen = "L"
        return "".join(parts)

    def area(self, band: Band) -> str:
        """The SVG path around a band."""
        up = [(x, y) for x, y in zip(band.x, band.high, strict=True)]
        down = [(x, y) for x, y in zip(band.x, band.low, strict=True)]
        corners = [f"{self.x.at(x):g} {self.y.at(y):g}" for x, y in up + down[::-1]]
        return f"M{'L'.join(corners)}Z" if corners else ""

    def dots(self, line: Line) -> list[tuple[float, float, str]]:
        """Pixel and tooltip of each point; none where they would crowd the curve."""
        if len(line.points) > MANY_POINTS or not line.texts:
            return []
        pairs = zip(line.points, line.texts, strict=True)
        return [
            (self.x.at(x), self.y.at(y), text)
            for (x, y), text in pairs
            if y is not None and math.isfinite(y)
        ]

    def boxes(self) -> list[tuple[float, float, float, float, str]]:
        """x, y, width, height and tooltip of each bar."""
        if not self.bars:
            return []
        pitch = abs(self.x.at(self.x.low + 1) - self.x.at(self.x.low))
        width = round(max(0.6, min(34.0, pitch * 0.66)), 1)
        foot = self.y.at(0)
        return [
            (round(self.x.at(x) - width / 2, 1), self.y.at(y), width, foot - self.y.at(y), text)
            for (x, y), text in zip(self.bars, self.bar_texts, strict=True)
            if y is not None and math.isfinite(y)
        ]

    def ends(self) -> list[tuple[float, float, str, str]]:
        """x, y, text and tone of the value at each curve's end, kept 14 pixels apart."""
        marks = []
        for line in self.lines:
            last = [(x, y) for x, y in line.points if y is not None and math.isfinite(y)][-1:]
            if line.end and last:
                marks.append((self.x.at(last[0][0]), self.y.at(last[0][1]), line.end, line.tone))
        marks.sort(key=lambda mark: mark[1])
        placed: list[tuple[float, float, str, str]] = []
        for x, y, text, tone in marks:
            free = max(y, placed[-1][1] + 14) if placed else y
            placed.append((x, free, text, tone))
        return placed


def all_values(lines: tuple[Line, ...], bands: tuple[Band, ...] = ()) -> list[float]:
    """Every value on the vertical axis."""
    values: list[float | None] = [y for line in lines for _, y in line.points]
    for band in bands:
        values += [*band.low, *band.high]
    return finite(values)


def y_axis(
    values: list[float],
    limits: tuple[float | None, float | None],
    unit: str = "",
    height: int = 280,
) -> Axis:
    """The vertical axis of a plot of that height."""
    return axis(values, height - 40, 34, limits=limits, unit=unit)


def tone(index: int) -> tuple[str, bool]:
    """Colour class and dash of the `index`-th of many curves: never two alike up to twelve."""
    return f"t{index % TONES}", index // TONES % 2 == 1
