"""Figures of a confusion matrix `[true, predicted]`."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from common.tasks.base import Floats, Metrics
from common.tasks.figures.intervals import interval, share


def over_classes(confusion: Floats, variance: float = 0.0) -> Metrics:
    """Return accuracy with its interval, and the classes' means of recall, precision, specificity and F1.

    A class of which there is nobody, and that was never predicted, is in no mean; one of which there is nobody has no
    recall. Of a class that is there and was never predicted nobody knows the precision, and so not their mean.

    Args:
        confusion: counts; noise may have made them negative, then they count as 0.
        variance: of the noise on every count.
    """
    counts = np.clip(confusion, 0, None)
    right, rows, columns, whole = np.diag(counts), counts.sum(1), counts.sum(0), counts.sum()
    low, high = interval(float(right.sum()), float(whole - right.sum()), variance * len(counts))
    there = np.flatnonzero(rows + columns > 0).tolist()
    seen = np.flatnonzero(rows > 0).tolist()
    return {
        "accuracy": share(float(right.sum()), float(whole - right.sum())),
        "accuracy_low": low,
        "accuracy_high": high,
        "balanced_accuracy": _mean(share(right[c], rows[c] - right[c]) for c in seen),
        "macro_precision": _mean(share(right[c], columns[c] - right[c]) for c in there),
        "macro_specificity": _mean(
            share(whole - rows[c] - columns[c] + right[c], columns[c] - right[c]) for c in there
        ),
        "macro_f1": _mean(f1(counts, c) for c in there),
    }


def of_two(confusion: Floats, variance: float = 0.0) -> Metrics:
    """Return what a clinic asks of a test, each with its 95 % interval; the second class is the positive one."""
    (true_negative, false_positive), (false_negative, true_positive) = np.clip(confusion, 0, None)
    pairs = {
        "sensitivity": (true_positive, false_negative),
        "specificity": (true_negative, false_positive),
        "precision": (true_positive, false_positive),
        "negative_predictive_value": (true_negative, false_negative),
    }
    figures = {"f1": f1(np.clip(confusion, 0, None), 1)}
    for name, (part, rest) in pairs.items():
        low, high = interval(float(part), float(rest), variance)
        figures |= {name: share(part, rest), f"{name}_low": low, f"{name}_high": high}
    return figures


def f1(counts: Floats, number: int) -> float:
    """Return the harmonic mean of a class's precision and recall."""
    right = counts[number, number]
    return share(2 * right, counts[number].sum() + counts[:, number].sum() - 2 * right)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else math.nan
