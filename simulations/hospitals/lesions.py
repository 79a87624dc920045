"""What a sick chest shows beside nodules: water, consolidated lung, emphysema. All are drawn in place."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from simulations.hospitals.phantom import SOFT_HU, Grid, Vector, Volume, points, soft

WATER_HU = 12.0


def add_water(air: Volume, grid: Grid, middle: Vector, way: int, rng: np.random.Generator) -> None:
    """Fill the back of one side up to a level, as in a patient who lies on the back.

    Args:
        air: the lungs' inside in Hounsfield units, (Z, Y, X).
        grid: where its voxels lie.
        middle: of the chest, (z, y, x) in mm.
        way: −1 or 1, the side of the image.
        rng: draws the level.
    """
    _, y, x = points(grid, _whole(grid))
    level = middle[1] + rng.uniform(38.0, 55.0)
    air += soft(level - y, 2.0) * ((x - middle[2]) * way > 0) * (WATER_HU - air)


def add_consolidation(air: Volume, grid: Grid, at: Vector, rng: np.random.Generator) -> None:
    """Fill a region of uneven outline round the point `at` (z, y, x), in mm, more or less."""
    region = _patch(grid, at, rng.uniform(20, 34), rng)
    air += region * rng.uniform(0.55, 0.9) * (SOFT_HU - 40.0 - air)


def add_emphysema(air: Volume, grid: Grid, rng: np.random.Generator) -> None:
    """Make holes of pure air throughout, and the lung darker."""
    air -= rng.uniform(10.0, 40.0)
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    bubbles = gaussian_filter(noise, (0.5, 5 / grid.spacing, 5 / grid.spacing), mode="wrap")
    holes = soft((0.75 - bubbles / bubbles.std()) * 4.0, 1.0)
    air += holes * (-985.0 - air)


def _patch(grid: Grid, at: Vector, radius: float, rng: np.random.Generator) -> Volume:
    """A blurred-edged region of uneven outline, 0 to 1."""
    _, y, x = points(grid, _whole(grid))
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    wave = gaussian_filter(noise, (0, 12 / grid.spacing, 12 / grid.spacing), mode="wrap")
    away = np.hypot(y - at[1], x - at[2]) + 9.0 * wave / wave.std()
    return soft(away - radius, 4.0)


def _whole(grid: Grid) -> tuple[slice, slice, slice]:
    z, y, x = (slice(0, side) for side in grid.shape)
    return z, y, x
