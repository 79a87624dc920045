"""Colours of explanations: orange raises the score, blue lowers it; no pair of red and green."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RAISES = (230, 110, 0)
LOWERS = (40, 110, 235)
STRONGEST = 0.8
"""How much of a picture the strongest colour covers."""
TOP = 99.5
"""Percentile of the values that already has the strongest colour: one bright point must not hide the rest."""

Floats = NDArray[np.float32]


def strengths(values: Floats) -> Floats:
    """Return values scaled to [-1, 1] by their own largest; zeros where there is nothing to see."""
    size = np.abs(values)
    top = float(np.percentile(size, TOP)) if values.size else 0.0
    top = top if top > 0 else float(size.max(initial=0.0))
    return np.clip(values / top, -1, 1).astype(np.float32) if top > 0 else np.zeros_like(values)


def paint(strength: float) -> tuple[str, float]:
    """Return the colour and the opacity of a strength in [-1, 1], for SVG."""
    colour = RAISES if strength >= 0 else LOWERS
    return "#" + bytes(colour).hex(), round(STRONGEST * abs(strength), 2)


def over(grey: NDArray[np.uint8], strength: Floats) -> NDArray[np.uint8]:
    """Return a picture with an explanation laid over it.

    Args:
        grey: [3, rows, columns].
        strength: [rows, columns] in [-1, 1].
    """
    colour = np.where(
        strength >= 0, *(np.array(c, np.float32)[:, None, None] for c in (RAISES, LOWERS))
    )
    share = STRONGEST * np.abs(strength)
    return np.round(grey * (1 - share) + colour * share).astype(np.uint8)
