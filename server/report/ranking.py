"""Precision and recall, calibration, and the decision curve of the final model."""

from __future__ import annotations

from collections.abc import Sequence

from common.charts.numbers import fixed
from common.charts.plot import Band, Line, Plot, all_values, tone, y_axis
from common.charts.scale import Axis, finite
from server.report.curves import Calibration
from server.report.learning import LEFT
from server.report.outcome import MANY_CLASSES, RATES, shown
from server.report.run_folder import Run

Numbers = Sequence[float | None]
Point = tuple[float, float]
ACROSS, UP = Axis(0, 1, RATES, LEFT, 420), Axis(0, 1, RATES, 400, 34)
DEEPEST = 0.25
"""Of the highest net benefit: so far below 0 the decision curve is drawn."""


def precision_plot(run: Run) -> Plot | None:
    """Precision by recall of the positive class, or of several classes against the rest."""
    curves = shown(run.metrics, run.metrics.curves.precision_recall)
    lines = []
    for number, (name, curve) in enumerate(curves.items()):
        guess = f", guessing {fixed(curve.prevalence, 2)}" if curve.prevalence is not None else ""
        label = f"{name} (average {fixed(curve.average)}{guess})"
        lines.append(Line(label, _points(curve.recall, curve.precision), *tone(number)))
    return _square("Precision and recall", "recall", "precision", lines)


def calibration_plot(run: Run) -> Plot | None:
    """What was observed by what was predicted; on the diagonal the model's probabilities can be taken at their word."""
    curves = shown(run.metrics, run.metrics.curves.calibration)
    lines = []
    for number, (name, curve) in enumerate(curves.items()):
        points = _points(curve.predicted, curve.observed)
        texts = tuple(f"{name}: predicted {fixed(x, 2)}, observed {fixed(y, 2)}" for x, y in points)
        label = f"{name} (error {fixed(curve.error)})" if curve.error is not None else name
        lines.append(Line(label, points, *tone(number), texts))
    bands = _bands(next(iter(curves.values()))) if len(curves) == 1 else ()
    return _square("Calibration", "predicted probability", "observed share", lines, bands, True)


def _bands(curve: Calibration) -> tuple[Band, ...]:
    low, high = (
        dict(_points(curve.predicted, curve.low)),
        dict(_points(curve.predicted, curve.high)),
    )
    x = sorted(low.keys() & high.keys())
    if len(x) < 2:
        return ()
    ends = (tuple(low[at] for at in x), tuple(high[at] for at in x))
    return (Band("95 % interval", tuple(x), *ends, "t0"),)


def decision_plot(run: Run) -> Plot | None:
    """Net benefit by threshold, of the model, of treating all and of treating none; of one positive class only."""
    curves = shown(run.metrics, run.metrics.curves.decision)
    if len(curves) != 1:
        return None
    ((name, curve),) = curves.items()
    floor = -DEEPEST * max(finite(curve.model), default=0.0)
    lines = tuple(
        Line(label, _above(_points(curve.threshold, values), floor), colour, dashed)
        for label, values, colour, dashed in (
            (f"by the model: {name}", curve.model, "t0", False),
            ("treat all", curve.all, "t1", True),
            ("treat none", [0.0] * len(curve.threshold), "t2", True),
        )
    )
    if not all_values(lines[:1]):
        return None
    best = max(all_values(lines[:1]))
    return Plot(
        title="Decision curve",
        summary=f"Net benefit by the probability above which one treats; the model's is at most {fixed(best)}.",
        x_label="probability above which one treats",
        y_label="net benefit a patient",
        x=ACROSS,
        y=y_axis(all_values(lines), (None, None)),
        lines=lines,
    )


def _square(
    title: str,
    x: str,
    y: str,
    lines: list[Line],
    bands: tuple[Band, ...] = (),
    diagonal: bool = False,
) -> Plot | None:
    if not any(line.points for line in lines):
        return None
    return Plot(
        title=title,
        summary=f"{title} on the pooled test patients: " + "; ".join(line.name for line in lines),
        x_label=x,
        y_label=y,
        lines=tuple(lines),
        bands=bands,
        diagonal=diagonal,
        legend=len(lines) <= MANY_CLASSES,
        x=ACROSS,
        y=UP,
        height=440,
    )


def _points(x: Numbers, y: Numbers) -> tuple[Point, ...]:
    pairs = zip(x, y, strict=False)
    return tuple((a, b) for a, b in pairs if a is not None and b is not None)


def _above(points: tuple[Point, ...], floor: float) -> tuple[tuple[float, float | None], ...]:
    """Break a curve where it falls too far for the plot."""
    return tuple((x, y if y >= floor else None) for x, y in points)
