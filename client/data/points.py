"""Points with a size as targets: rows of one length, in shares of the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ABSENT = -1.0

Rows = NDArray[np.float32]
"""`[P, d + 1]`: where a point lies along each of d axes, from 0 to 1, and its diameter as a share of the last axis."""


def rows_of(points: NDArray[np.floating], shape: Sequence[int], most: int) -> Rows:
    """Return an image's points as the task wants them, `[most, d + 1]`, the largest first.

    Args:
        points: `[n, d + 1]`: pixel along each axis (the middle of the first is 0) and diameter in pixels of the last
            axis; rows that are no numbers are left out.
        shape: of the image, d sides.
        most: rows of the result; the smallest points beyond it are left out, and -1 fills what is free.

    Raises:
        ValueError: a point lies outside the image or has no size.
    """
    known = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    sides = np.asarray(shape, dtype=np.float64)
    places = (known[:, :-1] + 0.5) / sides
    sizes = known[:, -1] / sides[-1]
    wrong = int(((places < 0) | (places > 1)).any(axis=1).sum())
    if wrong:
        raise ValueError(f"{wrong} points lie outside their image.")
    if (sizes <= 0).any():
        raise ValueError(f"{int((sizes <= 0).sum())} points have no size.")
    largest = np.argsort(-sizes, kind="stable")[:most]
    rows: Rows = np.full((most, len(sides) + 1), ABSENT, dtype=np.float32)
    rows[: len(largest)] = np.column_stack([places, sizes])[largest]
    return rows
