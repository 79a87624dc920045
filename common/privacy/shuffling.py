"""What shuffled batches are known to leak at least, whatever anybody may prove one day.

With batches cut from a shuffled list, an observer of one epoch sees a vector of noisy batch sums. When every other unit
pulls one way and one unit the other way, the largest entry tells (Chua et al. 2024, arXiv 2403.17673, and for several
epochs 2411.04205): it is below c with probability Φ((c-2)/σ)·Φ(c/σ)^(b-1) with the unit and Φ((c-1)/σ)·Φ(c/σ)^(b-1)
without its contribution, for b batches an epoch. Cut into cells and composed over epochs, optimistically rounded, this
is a lower bound on ε.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

_CELLS = 4_000
_INTERVAL = 1e-3
_LEAST = 1e-13  # probability of a cell; smaller ones are rounding errors
_TRUNCATED = 1e-12  # more than dp-accounting may add to the mass at infinity


@lru_cache(maxsize=256)
def shuffled_at_least(noise_multiplier: float, batches: int, epochs: int, delta: float) -> float:
    """Lower bound on ε of `epochs` whole epochs of `batches` shuffled batches each; 0 where it tells nothing.

    Adjacency: one unit's contribution is there or is zero, the batches staying as they are.
    """
    from dp_accounting.pld import privacy_loss_distribution as pld

    if epochs < 1 or noise_multiplier < 0.05:
        return 0.0
    present, absent = (
        {int(cell): math.log(side[cell]) for cell in np.flatnonzero(side > _LEAST)}
        for side in _cells(noise_multiplier, batches)
    )
    shared = present.keys() & absent.keys()  # what is left out can only lower the bound
    loss = pld.from_two_probability_mass_functions(
        {cell: absent[cell] for cell in shared},
        {cell: present[cell] for cell in shared},
        pessimistic_estimate=False,
        value_discretization_interval=_INTERVAL,
        symmetric=False,
    )
    return float(loss.self_compose(epochs).get_epsilon_for_delta(delta + _TRUNCATED))


def _cells(sigma: float, batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the largest entry's cells, with and without the unit."""
    from scipy.stats import norm

    edges = np.linspace(-8 * sigma, 2 + 10 * sigma, _CELLS)
    others = (batches - 1) * norm.logcdf(edges / sigma)
    sides = (np.exp(others + norm.logcdf((edges - shift) / sigma)) for shift in (2.0, 1.0))
    present, absent = (np.diff(np.concatenate(([0.0], side, [1.0]))) for side in sides)
    return present, absent
