"""How the final model does: ROC curves and confusion matrix, or forecast errors by horizon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from common.charts.numbers import fixed
from common.charts.plot import Line, Plot, all_values, tone, y_axis
from common.charts.scale import Axis, axis, finite
from server.report.curves import Horizons, Roc
from server.report.learning import LEFT, RIGHT, is_forecast
from server.report.run_folder import Run
from server.report.schema import RunMetrics

RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
MANY_CLASSES = 12
Curve = TypeVar("Curve")


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix: count, share of its true class, depth of colour (0 to 1)."""

    count: float | None
    share: float | None
    depth: float


@dataclass(frozen=True)
class Confusion:
    """The confusion matrix: a row a true class, a column a predicted class."""

    classes: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    rates: tuple[Rate, ...] = ()


@dataclass(frozen=True)
class Rate:
    """A rate of a two-class test, by its clinical name, with what it is in plain words."""

    name: str
    value: float | None
    meaning: str


@dataclass(frozen=True)
class HorizonRow:
    """Errors at one horizon. `minutes` in minutes, the errors in the target's unit."""

    minutes: float | None
    rmse: float | None
    mae: float | None
    baseline: float | None


def roc_plot(run: Run) -> Plot | None:
    """ROC of the positive class, or one-vs-rest curves of several classes."""
    curves = shown(run.metrics, run.metrics.curves.roc)
    lines = tuple(_roc_line(i, name, roc) for i, (name, roc) in enumerate(curves.items()))
    if not any(line.points for line in lines):
        return None
    many = len(lines) > MANY_CLASSES
    return Plot(
        title="ROC, all hospitals pooled" + (", one class against the rest" if many else ""),
        summary="Receiver operating characteristic: " + "; ".join(line.name for line in lines),
        x_label="false positive rate",
        y_label="true positive rate",
        x=Axis(0, 1, RATES, LEFT, 420),
        y=Axis(0, 1, RATES, 400, 34),
        lines=lines,
        diagonal=True,
        legend=not many,
        height=440,
    )


def shown(metrics: RunMetrics, curves: dict[str, Curve] | None) -> dict[str, Curve]:
    """Of two classes only the second, which the first mirrors; of findings, which have no confusion, all."""
    found = curves or {}
    exclusive = bool(metrics.curves.confusion)
    if exclusive and len(found) == 2 and len(metrics.classes) == 2 and metrics.classes[1] in found:
        return {metrics.classes[1]: found[metrics.classes[1]]}
    return found


def _roc_line(index: int, name: str, roc: Roc) -> Line:
    points = tuple(
        (x, y) for x, y in zip(roc.fpr, roc.tpr, strict=False) if x is not None and y is not None
    )
    colour, dashed = tone(index)
    auc = f" (AUC {fixed(roc.auc)})" if roc.auc is not None else ""
    return Line(f"{name}{auc}", points, colour, dashed)


def confusion(run: Run) -> Confusion | None:
    """The matrix with shares per row; counts below zero (noise) have no colour."""
    matrix = run.metrics.curves.confusion
    if not matrix:
        return None
    names = run.metrics.classes
    width = max(len(matrix), *(len(row) for row in matrix))
    classes = tuple(names[i] if i < len(names) else f"class {i}" for i in range(width))
    return Confusion(classes, tuple(_cells(row) for row in matrix), _rates(matrix, classes))


def _rates(matrix: list[list[float | None]], classes: tuple[str, ...]) -> tuple[Rate, ...]:
    """Sensitivity, specificity and predictive values; the second class is the positive one."""
    flat = [finite(row) for row in matrix]
    if len(flat) != 2 or any(len(row) != 2 for row in flat):
        return ()
    (tn, fp), (fn, tp) = ([max(0.0, item) for item in row] for row in flat)
    negative, positive = classes
    return (
        Rate("Sensitivity", _share(tp, fn), f"of {positive} found"),
        Rate("Specificity", _share(tn, fp), f"of {negative} cleared"),
        Rate("Positive predictive value", _share(tp, fp), f"of calls “{positive}” right"),
        Rate("Negative predictive value", _share(tn, fn), f"of calls “{negative}” right"),
    )


def _share(part: float, rest: float) -> float | None:
    return part / (part + rest) if part + rest > 0 else None


def _cells(row: list[float | None]) -> tuple[Cell, ...]:
    total = sum(max(0.0, item) for item in finite(row))
    cells = []
    for item in row:
        share = max(0.0, item) / total if finite([item]) and item is not None and total else None
        cells.append(Cell(item, share, round(share or 0.0, 3)))
    return tuple(cells)


def horizon_plot(run: Run) -> Plot | None:
    """RMSE, MAE and the baseline's RMSE by minutes ahead."""
    horizons = run.metrics.curves.horizons
    if horizons is None or not is_forecast(run.metrics) or not finite(horizons.minutes):
        return None
    lines = tuple(
        line
        for line in (
            _horizon_line(horizons, horizons.rmse, "RMSE", "t0"),
            _horizon_line(horizons, horizons.mae, "MAE", "t2"),
            _horizon_line(horizons, horizons.baseline_rmse, "Baseline RMSE", "t1"),
        )
        if line.points
    )
    return Plot(
        title="Error by horizon",
        summary="Forecast error by minutes ahead: "
        + "; ".join(f"{line.name} up to {line.end}" for line in lines),
        x_label="minutes ahead",
        y_label=f"Error ({horizons.unit})" if horizons.unit else "Error",
        x=axis(horizons.minutes, LEFT, RIGHT, limits=(0.0, None)),
        y=y_axis(all_values(lines), (0.0, None)),
        lines=lines,
    )


def _horizon_line(horizons: Horizons, errors: list[float | None], name: str, colour: str) -> Line:
    pairs = zip(horizons.minutes, errors, strict=False)
    points = tuple((x, y) for x, y in pairs if x is not None and y is not None)
    texts = tuple(f"{name}, {x:g} minutes ahead: {fixed(y)}" for x, y in points)
    end = fixed(points[-1][1], 1) if points else ""
    return Line(name, points, colour, colour == "t1", texts, end)


def horizon_rows(run: Run) -> list[HorizonRow]:
    """The same figures as a table."""
    horizons = run.metrics.curves.horizons
    if horizons is None:
        return []
    columns = (horizons.rmse, horizons.mae, horizons.baseline_rmse)
    size = len(horizons.minutes)
    padded = [[*column[:size], *[None] * (size - len(column))] for column in columns]
    return [HorizonRow(*row) for row in zip(horizons.minutes, *padded, strict=True)]
