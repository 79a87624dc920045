"""The nodule-detection archive: chest slices with none, one or several nodules, whose middles and sizes are known."""

from __future__ import annotations

import numpy as np

from simulations.hospitals.chest import add_lung_vessels, assemble, lung, place_in_lung
from simulations.hospitals.marked_archive import write_marked
from simulations.hospitals.phantom import (
    LUNG_HU,
    Grid,
    Nodule,
    Vector,
    Volume,
    add_nodule,
    parenchyma,
)
from simulations.hospitals.plan import Archive, HospitalPlan

NAME = "nodule-detection"
SLICES, SIZE, SPACING = 2, 96, 3.6
SHARES = (0.2, 0.4, 0.25, 0.15)
"""Of the patients with 0, 1, 2 and 3 nodules."""
TRIALS = 20
"""To find a place that no other nodule has."""


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files and labels.csv: see `write_marked`."""
    return write_marked(plan, NAME, SPACING, draw_chest)


def draw_chest(rng: np.random.Generator, thickness: float) -> tuple[Volume, list[Nodule]]:
    """Return axial slices (Z, Y, X) of a chest in Hounsfield units, and the nodules in it."""
    grid = Grid(SLICES, SIZE, SPACING, thickness)
    middle = grid.extent / 2 + rng.normal(0.0, 8.0, 3) * np.array([0.0, 1.0, 1.0])
    lungs = np.maximum(*(lung(grid, middle, side, rng) for side in (-1, 1)))
    air = parenchyma(grid, rng, LUNG_HU + rng.normal(0.0, 25.0))
    add_lung_vessels(air, grid, middle, rng)
    nodules: list[Nodule] = []
    for _ in range(int(rng.choice(len(SHARES), p=SHARES))):
        found = _nodule(middle, nodules, rng)
        if found is not None:
            nodules.append(found)
            add_nodule(air, grid, found, rng, grain=3.5)
    return assemble(grid, middle, air, lungs, rng), nodules


def _nodule(middle: Vector, others: list[Nodule], rng: np.random.Generator) -> Nodule | None:
    """Return a nodule, solid or of ground glass, that touches none of the others; none if there is no room."""
    radius, density = float(rng.uniform(5, 12)), float(rng.uniform(-550, 30))
    for _ in range(TRIALS):
        place = place_in_lung(middle, rng)
        away = [float(np.linalg.norm(place - o.centre)) - radius - o.radius for o in others]
        if min(away, default=np.inf) > 6.0:
            return Nodule(place, radius, float(rng.uniform(0, 1)), density, calcified=False)
    return None
