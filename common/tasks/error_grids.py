"""Error grids: how much harm a wrong glucose value would do, in zones from A (none) to E (the opposite treatment).

Clarke et al. (1987, "Evaluating clinical accuracy of systems for self-monitoring of blood glucose"). Parkes et al.
(2000, "A new consensus error grid"), for type 1 diabetes, with the corners of Pfützner et al. (2013, "Technical aspects
of the Parkes error grid"). Both were drawn for meters and are read here with the forecast in the meter's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from common.errors import StudyError
from common.tasks.base import Floats

ZONES = "ABCDE"
Grid = Literal["clarke", "parkes"]
Zones = npt.NDArray[np.int64]

PER_UNIT = {"mg/dl": 1.0, "mmol/l": 18.016}
"""Milligrams of glucose in a decilitre, per unit."""

Corners = tuple[tuple[float, float], ...]

PARKES_ABOVE: tuple[Corners, ...] = (
    ((0, 50), (30, 50), (140, 170), (280, 380), (430, 550)),
    ((0, 60), (30, 60), (50, 80), (70, 110), (260, 550)),
    ((0, 100), (25, 100), (50, 125), (80, 215), (125, 550)),
    ((0, 150), (35, 155), (50, 550)),
)
"""Upper borders of A, B, C and D: (true value, forecast)."""
PARKES_BELOW: tuple[Corners, ...] = (
    ((50, 0), (50, 30), (170, 145), (385, 300), (550, 450)),
    ((120, 0), (120, 30), (260, 130), (550, 250)),
    ((250, 0), (250, 40), (550, 150)),
)
"""Lower borders of A, B and C."""


def mg_per_dl(unit: str) -> float:
    """Return the milligrams in a decilitre that one of the study's units is.

    Raises:
        StudyError: the unit is not one of glucose.
    """
    factor = PER_UNIT.get(unit.strip().casefold())
    if factor is None:
        raise StudyError(
            f"Error grids are for glucose, but the study's unit is '{unit}'.",
            where="[task] error_grids and [data] unit",
            fix="Give [data] unit = 'mg/dL' or 'mmol/L', or leave error_grids out.",
        )
    return factor


def clarke(truth: Floats, forecast: Floats) -> Zones:
    """Return the zone of every pair of values in mg/dL: 0 for A to 4 for E."""
    both_low = (truth < 70) & (forecast < 70)
    close = np.abs(forecast - truth) <= 0.2 * truth
    opposite = ((truth <= 70) & (forecast >= 180)) | ((truth >= 180) & (forecast <= 70))
    middle = (forecast >= 70) & (forecast <= 180)
    missed = middle & ((truth >= 240) | (truth <= 70))
    over_corrected = (truth >= 70) & (truth <= 290) & (forecast >= truth + 110)
    over_corrected |= (truth >= 130) & (truth <= 180) & (forecast <= 1.4 * truth - 182)
    rules = [both_low | close, opposite, missed, over_corrected]
    return np.asarray(np.select(rules, [0, 4, 3, 2], default=1), np.int64)


def parkes(truth: Floats, forecast: Floats) -> Zones:
    """Return the zone of every pair of values in mg/dL, for type 1 diabetes: 0 for A to 4 for E."""
    above = sum(forecast > _border(corners, truth) for corners in PARKES_ABOVE)
    below = sum(truth > _border(_turned(corners), forecast) for corners in PARKES_BELOW)
    return np.asarray(np.maximum(above, below), np.int64)


GRIDS: Mapping[Grid, Callable[[Floats, Floats], Zones]] = {"clarke": clarke, "parkes": parkes}


def zone_counts(grid: Grid, truth: Floats, forecast: Floats, weights: Floats) -> Floats:
    """Return how many pairs lie in each zone.

    Args:
        grid: its name.
        truth: `[N]`, in mg/dL.
        forecast: `[N]`, in mg/dL.
        weights: `[N]`, how often each pair counts.

    Returns:
        `[5]`, from A to E; every pair is in one of them.
    """
    zones = GRIDS[grid](truth, forecast)
    counts: Floats = np.bincount(zones, weights=weights, minlength=len(ZONES)).astype(np.float64)
    return counts


def _turned(corners: Corners) -> Corners:
    """Return a lower border with the forecast first: it is upright where it begins, so no function of the truth."""
    return tuple((forecast, truth) for truth, forecast in corners)


def _border(corners: Corners, values: Floats) -> Floats:
    """Return the border at the values; beyond its last corner it goes straight on."""
    x, y = np.array(corners, dtype=np.float64).T
    slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
    onward = y[-1] + slope * np.maximum(values - x[-1], 0.0)
    border: Floats = np.where(values > x[-1], onward, np.interp(values, x, y))
    return border
