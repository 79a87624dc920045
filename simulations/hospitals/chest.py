"""A whole chest in axial slices: two lungs with vessels, and the body round them."""

from __future__ import annotations

import numpy as np

from simulations.hospitals.phantom import (
    FAT_HU,
    SOFT_HU,
    Grid,
    Vector,
    Volume,
    add_tube,
    points,
    soft,
)


def lung(grid: Grid, middle: Vector, side: int, rng: np.random.Generator) -> Volume:
    """Return how much of each voxel is lung, 0 to 1; `side` is -1 or 1."""
    _, y, x = points(grid, _whole(grid))
    wide, tall = rng.uniform(46, 54), rng.uniform(78, 92)
    away = np.hypot((x - middle[2] - side * 70) / wide, (y - middle[1]) / tall)
    return np.broadcast_to(soft((away - 1.0) * wide, 1.5), grid.shape)


def assemble(
    grid: Grid, middle: Vector, air: Volume, lungs: Volume, rng: np.random.Generator
) -> Volume:
    """Put body, fat, spine and lungs together; outside is air."""
    _, y, x = points(grid, _whole(grid))
    wide, tall = rng.uniform(148, 160), rng.uniform(108, 118)
    rim = np.hypot((x - middle[2]) / wide, (y - middle[1]) / tall)
    body = soft((rim - 1.0) * tall, 2.0)
    tissue = SOFT_HU + (FAT_HU - SOFT_HU) * (1.0 - soft((rim - 0.9) * tall, 2.0))
    spine = soft(np.hypot(x - middle[2], y - middle[1] - 80) - 17.0, 2.0)
    tissue = tissue + spine * 260.0
    volume = -1000.0 + body * (tissue + 1000.0)
    return (volume + lungs * (air - volume)).astype(np.float32)


def add_lung_vessels(air: Volume, grid: Grid, middle: Vector, rng: np.random.Generator) -> None:
    """Draw vessels from the middle outward (in place)."""
    for _ in range(26):
        side = rng.choice([-1, 1])
        start = middle + np.array([rng.normal(0, 2.0), rng.normal(0, 18), side * 30])
        end = middle + np.array(
            [rng.normal(0, 6.0), rng.normal(0, 60), side * rng.uniform(60, 115)]
        )
        add_tube(air, grid, start, end, rng.uniform(1.0, 3.2), SOFT_HU - rng.uniform(0, 200), 0.4)


def place_in_lung(middle: Vector, rng: np.random.Generator) -> Vector:
    """Return a point (z, y, x) inside one of the lungs, in mm."""
    side = np.array([0.0, rng.uniform(-45, 45), rng.choice([-1, 1]) * rng.uniform(58, 85)])
    found: Vector = middle + side
    return found


def _whole(grid: Grid) -> tuple[slice, slice, slice]:
    z, y, x = (slice(0, side) for side in grid.shape)
    return z, y, x
