"""Chooses the starts of windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def apart(starts: NDArray[np.int64], stride: int) -> NDArray[np.int64]:
    """Keep starts (ascending) at least `stride` apart, the earliest first."""
    kept: list[int] = []
    index = 0
    while index < len(starts):
        kept.append(int(starts[index]))
        index = int(np.searchsorted(starts, kept[-1] + stride))
    return np.array(kept, dtype=np.int64)
