"""All that follows from the score histograms of one or several classes: figures, and curves for the report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common.tasks import roc
from common.tasks.base import Floats, Metrics
from common.tasks.figures.calibration import calibration
from common.tasks.figures.decision import decision_curve
from common.tasks.figures.intervals import logit_interval
from common.tasks.figures.precision_recall import precision_recall
from common.tasks.figures.scores import Scores


def score_figures(histograms: Sequence[Floats], variance: float, classes: int) -> Metrics:
    """Return AUC and average precision with their intervals, calibration error and gap, and the Brier score.

    Of several classes, one against the rest, they are means over those that have the figure: nobody of the others is
    held out, or noise hides them. The Brier score is the sum over all classes. The interval of the mean AUC is at most
    as wide as given: the areas are taken to rise and fall together.

    Args:
        histograms: `[label, bin]` of each class.
        variance: of the noise on every count.
        classes: the log odds are against the mean of so many classes less one.
    """
    curves = [roc.curve(histogram, variance) for histogram in histograms]
    area = _mean([curve.auc for curve in curves])
    error = _mean([curve.standard_error for curve in curves])
    low, high = roc.Curve(np.zeros(0), np.zeros(0), area, error).interval()
    scores = [Scores.of(histogram, variance, classes) for histogram in histograms]
    found = [calibration(each) for each in scores]
    precision = _mean([precision_recall(each).average for each in scores])
    figures = {"auc": area, "auc_low": low, "auc_high": high, "average_precision": precision}
    figures["calibration_error"] = _mean([each.error for each in found])
    figures["brier"] = sum(each.brier for each in found)
    return figures | (_of_one(scores[0], precision, found[0].gap) if len(scores) == 1 else {})


def score_curves(histograms: Mapping[str, Floats], variance: float, classes: int) -> dict[str, Any]:
    """Return ROC, precision-recall, calibration and decision curves by the name of the class."""
    scores = {name: Scores.of(each, variance, classes) for name, each in histograms.items()}
    return {
        "roc": {name: roc.curve(each, variance).to_json() for name, each in histograms.items()},
        "precision_recall": {name: precision_recall(s).to_json() for name, s in scores.items()},
        "calibration": {name: calibration(s).to_json() for name, s in scores.items()},
        "decision": {name: decision_curve(s) for name, s in scores.items()},
    }


def _of_one(scores: Scores, precision: float, gap: float) -> Metrics:
    """Return what only a single positive class has. The interval knows of no noise: with noise there is none."""
    ends = logit_interval(precision, scores.totals[1])
    low, high = (math.nan, math.nan) if scores.variance else ends
    return {"average_precision_low": low, "average_precision_high": high, "calibration_gap": gap}


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what is a number; NaN of nothing."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
