"""What only some tasks draw: figures by structure, survival, error grids, and whatever tables and plots a task made."""

from __future__ import annotations

from dataclasses import dataclass

from common.charts.numbers import fixed, percent
from common.charts.plot import Line, Plot, all_values, tone, y_axis
from common.charts.scale import axis, finite
from server.report.curves import DrawnPlot, Horizons, Structures, Survival
from server.report.learning import LEFT, RIGHT
from server.report.run_folder import Run
from server.report.sites import Row

Numbers = list[float | None]
WORDS = {
    "dice": "Dice",
    "pooled_dice": "Dice, pooled",
    "pooled_iou": "IoU, pooled",
    "images": "Images",
}
"""What columns are called where their key with blanks would not do."""


@dataclass(frozen=True)
class FurtherTable:
    """A printed table; `first` names the column of the rows' names."""

    title: str
    first: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def further_plots(run: Run) -> list[Plot]:
    """Return the survival curve, and the plots that a task made."""
    curves = run.metrics.curves
    found = [_survival(curves.survival)] if curves.survival and curves.survival.times else []
    return [*found, *(_drawn(plot) for plot in curves.plots if _values(plot))]


def further_tables(run: Run) -> list[FurtherTable]:
    """Return the table of structures, the error grids, and the tables that a task made."""
    curves = run.metrics.curves
    found = [_structures(curves.structures)] if curves.structures else []
    found += _error_grids(curves.horizons) if curves.horizons else []
    return found + [
        FurtherTable(
            table.title,
            table.first,
            tuple(table.columns),
            tuple(Row(row.name, tuple(map(fixed, row.values))) for row in table.rows),
        )
        for table in curves.tables
    ]


def _survival(curve: Survival) -> Plot:
    """Draw what the model expects beside what was observed (Kaplan and Meier)."""
    lines = [
        _line("observed", [0.0, *curve.times], [1.0, *curve.observed], 0),
        _line("expected by the model", [0.0, *curve.times], [1.0, *curve.predicted], 1),
    ]
    return Plot(
        title="Survival without the event",
        summary="Share without the event over time, observed and expected by the model.",
        x_label=curve.unit or "time",
        y_label="share without the event",
        x=axis(curve.times, LEFT, RIGHT, limits=(0.0, None)),
        y=y_axis(all_values(tuple(lines)), (None, 1.0)),
        lines=tuple(lines),
    )


def _drawn(plot: DrawnPlot) -> Plot:
    lines = tuple(_line(each.name, each.x, each.y, n) for n, each in enumerate(plot.lines))
    return Plot(
        title=plot.title,
        summary=f"{plot.title} on the pooled test patients: "
        + "; ".join(line.name for line in lines),
        x_label=plot.x_label,
        y_label=plot.y_label,
        x=axis([x for line in plot.lines for x in line.x], LEFT, RIGHT),
        y=y_axis(all_values(lines), (None, None)),
        lines=lines,
    )


def _values(plot: DrawnPlot) -> list[float]:
    return finite(y for line in plot.lines for y in line.y)


def _line(name: str, x: Numbers, y: Numbers, number: int) -> Line:
    pairs = zip(x, y, strict=False)
    points = tuple((a, b) for a, b in pairs if a is not None and b is not None)
    texts = tuple(f"{name}, {a:g}: {fixed(b)}" for a, b in points)
    return Line(name, points, *tone(number), texts)


def _structures(found: Structures) -> FurtherTable:
    columns = found.columns()
    rows = (
        Row(
            name,
            tuple(fixed(values[at] if at < len(values) else None) for values in columns.values()),
        )
        for at, name in enumerate(found.names)
    )
    names = tuple(WORDS.get(key, key.replace("_", " ").capitalize()) for key in columns)
    return FurtherTable("By structure", "Structure", names, tuple(rows))


def _error_grids(horizons: Horizons) -> list[FurtherTable]:
    """Return the shares of the zones, a row a horizon; A is harmless, E the opposite treatment."""
    return [
        FurtherTable(
            f"{grid.capitalize()} error grid",
            "Minutes ahead",
            tuple("ABCDE"),
            tuple(
                Row(f"{minutes:g}", tuple(map(percent, shares)))
                for minutes, shares in zip(horizons.minutes, zones, strict=False)
                if minutes is not None
            ),
        )
        for grid, zones in horizons.error_grids.items()
    ]
