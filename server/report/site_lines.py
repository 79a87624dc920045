"""One value per site and round as curves: a line a site, or a band when there are many sites."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable

from common.charts.plot import Band, Line, tone
from common.charts.scale import finite
from server.report.schema import Round, RoundSite

MANY_SITES = 12
Value = Callable[[RoundSite], float | None]


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts hospital-2 before hospital-10: longer numbers are larger."""
    key = []
    for part in re.split(r"(\d+)", name):
        digits = part.lstrip("0")
        key.append((len(digits), digits) if part.isdecimal() else (-1, part))
    return key


def per_site(
    rounds: tuple[Round, ...], value: Value, *, carry: bool = False
) -> dict[str, list[float | None]]:
    """Site → one value a round. With `carry` a site that was absent keeps its last value."""
    names = sorted({name for record in rounds for name in record.sites}, key=natural)
    table: dict[str, list[float | None]] = {name: [] for name in names}
    for record in rounds:
        for name, series in table.items():
            site = record.sites.get(name)
            new = value(site) if site is not None else None
            series.append(series[-1] if carry and new is None and series else new)
    return {name: series for name, series in table.items() if finite(series)}


def merge_equal(table: dict[str, list[float | None]]) -> dict[str, list[float | None]]:
    """Sites whose curves coincide share one, named after all of them."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, series in table.items():
        key = tuple("" if item is None else f"{item:.6g}" for item in series)
        groups.setdefault(key, []).append(name)
    merged = {}
    for names in groups.values():
        alike = names[0] if len(names) == 1 else f"{len(names)} hospitals alike"
        if 1 < len(names) <= 3:
            alike = ", ".join(names)
        merged[alike] = table[names[0]]
    return merged


def curves(
    table: dict[str, list[float | None]], x: list[float], text: Callable[[float, str], str]
) -> tuple[tuple[Line, ...], tuple[Band, ...]]:
    """Lines for up to `MANY_SITES` sites; else the median with a band from least to most."""
    if len(table) > MANY_SITES:
        return _summary(table, x, text)
    lines = []
    for index, (name, series) in enumerate(merge_equal(table).items()):
        colour, dashed = tone(index)
        points = tuple(zip(x, series, strict=True))
        texts = tuple(_tip(name, at, y, text) for at, y in points)
        lines.append(Line(name, points, colour, dashed, texts))
    return tuple(lines), ()


def _summary(
    table: dict[str, list[float | None]], x: list[float], text: Callable[[float, str], str]
) -> tuple[tuple[Line, ...], tuple[Band, ...]]:
    columns = [
        (at, drawn)
        for at, column in zip(x, zip(*table.values(), strict=True), strict=True)
        if (drawn := finite(column))
    ]
    middle = tuple((at, statistics.median(column)) for at, column in columns)
    texts = tuple(_tip("median", at, y, text) for at, y in middle)
    name = f"median of {len(table):,} hospitals"
    band = Band(
        name="least to most",
        x=tuple(at for at, _ in columns),
        low=tuple(min(column) for _, column in columns),
        high=tuple(max(column) for _, column in columns),
        tone="t0",
    )
    return (Line(name, middle, "t0", texts=texts),), (band,)


def _tip(name: str, x: float, y: float | None, text: Callable[[float, str], str]) -> str:
    if y is None or not math.isfinite(y):
        return ""
    return text(x, f"{name}: {y:.3g}")
