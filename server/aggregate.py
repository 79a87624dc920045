"""The weighted mean of the sites' weights, in one pass over all of them side by side.

It takes the vectors piece by piece, so that memory does not grow with the number of sites, and rounds exactly as
Flower's FedAvg does: `sum(vector * (weight / total))` in float32, in the given order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.weights import Vector

PIECE = 1 << 18
"""Values added at a time: the sum and one product of so many stay in the processor's cache."""


def weighted_mean(weights: Sequence[float], vectors: Sequence[Vector]) -> Vector:
    """Return the mean of vectors of one length, which may be memory-mapped.

    Args:
        weights: one a vector; their sum is above 0.
        vectors: at least one, in the order of their sites' names.
    """
    total = sum(weights)
    factors = [weight / total for weight in weights]
    mean = np.empty_like(vectors[0], subok=False)
    product = np.empty(min(PIECE, mean.size), np.float32)
    for start in range(0, mean.size, PIECE):
        part = slice(start, min(start + PIECE, mean.size))
        _add_up(mean[part], product[: part.stop - start], factors, [v[part] for v in vectors])
    return mean


def _add_up(
    total: Vector, product: Vector, factors: Sequence[float], parts: Sequence[Vector]
) -> None:
    np.multiply(parts[0], factors[0], out=total)
    for factor, part in zip(factors[1:], parts[1:], strict=True):
        np.multiply(part, factor, out=product)
        np.add(total, product, out=total)
