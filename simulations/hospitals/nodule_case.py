"""One patient of the lung-nodule archive: an anatomy, a nodule, and where a reader marked it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulations.hospitals.phantom import (
    SOFT_HU,
    Grid,
    Nodule,
    Vector,
    Volume,
    add_nodule,
    add_tube,
    add_vessels,
    add_wall,
    parenchyma,
)
from simulations.hospitals.scanner import Scanner, acquire

SLICES = 4
SIZE = 128


@dataclass(frozen=True)
class Case:
    """One patient's scan.

    Attributes:
        volume: Hounsfield units as the scanner shows them, (Z, Y, X).
        candidate: the annotated point (z, y, x) in mm from the first voxel's centre.
        malignant: the label.
    """

    volume: Volume
    candidate: Vector
    malignant: bool


def draw_case(rng: np.random.Generator, malignant: bool, scanner: Scanner) -> Case:
    """Draw one patient: the label decides the nodule's character and nothing else."""
    grid = Grid(SLICES, SIZE, scanner.spacing, scanner.thickness)
    nodule = _draw_nodule(rng, malignant, grid)
    volume = parenchyma(grid, rng)
    add_vessels(volume, grid, rng, int(rng.integers(5, 10)))
    for _ in range(int(rng.integers(0, 3))):
        _touch(volume, grid, nodule, rng)
    if rng.random() < 0.6:
        angle, distance = rng.uniform(0, 2 * np.pi), nodule.radius + rng.exponential(14.0)
        add_wall(volume, grid, nodule.centre, angle, distance)
    add_nodule(volume, grid, nodule, rng)
    mark = nodule.centre + rng.normal(0.0, 0.7, 3)
    return Case(acquire(volume, scanner, rng), mark, malignant)


def _draw_nodule(rng: np.random.Generator, malignant: bool, grid: Grid) -> Nodule:
    middle = grid.extent / 2
    spread = np.array([0.35 * grid.thickness, 0.22 * grid.extent[1], 0.22 * grid.extent[2]])
    character = rng.beta(5.0, 2.0) if malignant else rng.beta(1.6, 6.0)
    return Nodule(
        centre=middle + rng.uniform(-1.0, 1.0, 3) * spread,
        radius=float(np.clip(rng.lognormal(np.log(5.6), 0.26), 3.5, 9.5)),
        character=float(character),
        density=float(rng.normal(10.0, 60.0)),
        calcified=bool(not malignant and rng.random() < 0.2),
    )


def _touch(volume: Volume, grid: Grid, nodule: Nodule, rng: np.random.Generator) -> None:
    """A vessel that passes by or ends at the nodule, whatever its class."""
    angle = rng.uniform(0.0, 2 * np.pi)
    side = np.array([rng.normal(0.0, 0.1), np.sin(angle), np.cos(angle)])
    along = np.array([rng.normal(0.0, 0.2), np.cos(angle), -np.sin(angle)])
    near = nodule.centre + side * nodule.radius * rng.uniform(0.5, 1.6)
    reach = rng.uniform(6.0, 22.0, 2)
    hu = SOFT_HU - rng.uniform(0.0, 60.0)
    add_tube(
        volume, grid, near - along * reach[0], near + along * reach[1], rng.uniform(0.6, 1.5), hu
    )
