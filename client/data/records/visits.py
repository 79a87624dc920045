"""Keeps of a record's steps only those with a reading: its visits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def last_visits(
    inputs: NDArray[np.float32], seen: NDArray[np.bool_], most: int
) -> NDArray[np.float32]:
    """Return the last visits of every record, in order; those with fewer are filled up in front with 0.

    Args:
        inputs: [R, T, F].
        seen: [R, T] which steps have a reading of any variable.
        most: V, how many visits are kept.

    Returns:
        [R, V, F + 2]: the inputs; where in the window the visit lies (-1 its start, 1 its end); 1 for a visit, -1 for
        what is filled up.
    """
    steps = seen.shape[1]
    order = np.argsort(seen, axis=1, kind="stable")[:, steps - most :]
    visit = np.take_along_axis(seen, order, axis=1)
    kept = np.take_along_axis(inputs, order[:, :, None], axis=1)
    kept = np.where(visit[:, :, None], kept, 0.0)
    place = np.where(visit, 2.0 * (order + 1) / steps - 1.0, -1.0)
    marked = np.stack([place, np.where(visit, 1.0, -1.0)], axis=2)
    return np.concatenate([kept, marked], axis=2).astype(np.float32)
