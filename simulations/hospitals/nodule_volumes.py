"""The nodule-volumes archive: small CT volumes of one lung with none, one or two nodules, marked by points."""

from __future__ import annotations

import numpy as np

from simulations.hospitals.marked_archive import write_marked
from simulations.hospitals.phantom import (
    Grid,
    Nodule,
    Vector,
    Volume,
    add_nodule,
    add_vessels,
    add_wall,
    parenchyma,
)
from simulations.hospitals.plan import Archive, HospitalPlan

NAME = "nodule-volumes"
DEPTH_MM, SIDE, SPACING = 46.0, 32, 2.0
SHARES = (0.25, 0.5, 0.25)
"""Of the patients with 0, 1 and 2 nodules."""
MARGIN = np.array([8.0, 10.0, 10.0])
"""Nodules' middles keep so far from the edges, mm (z, y, x)."""
APART_MM = 24.0
"""Between the middles of two nodules, at least: what radiates from one does not reach the other."""
TRIALS = 50


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files and labels.csv: see `write_marked`."""
    return write_marked(plan, NAME, SPACING, draw_lung)


def draw_lung(rng: np.random.Generator, thickness: float) -> tuple[Volume, list[Nodule]]:
    """Return a volume (Z, Y, X) in Hounsfield units, vessels and at times the chest wall in it, and its nodules."""
    grid = Grid(round(DEPTH_MM / thickness), SIDE, SPACING, thickness)
    volume = parenchyma(grid, rng)
    add_vessels(volume, grid, rng, int(rng.integers(4, 9)))
    if rng.random() < 0.5:
        add_wall(volume, grid, grid.extent / 2, rng.uniform(0, 2 * np.pi), rng.uniform(26, 34))
    nodules: list[Nodule] = []
    for _ in range(int(rng.choice(len(SHARES), p=SHARES))):
        place = _place(grid, nodules, rng)
        if place is not None:
            nodules.append(_nodule(place, rng))
            add_nodule(volume, grid, nodules[-1], rng)
    return volume, nodules


def _place(grid: Grid, others: list[Nodule], rng: np.random.Generator) -> Vector | None:
    """Return a place (z, y, x) far from the other nodules, in mm; none if there is no room."""
    for _ in range(TRIALS):
        place: Vector = rng.uniform(MARGIN, grid.extent - MARGIN)
        if all(np.linalg.norm(place - other.centre) > APART_MM for other in others):
            return place
    return None


def _nodule(place: Vector, rng: np.random.Generator) -> Nodule:
    """Return a nodule, solid or part-solid."""
    return Nodule(
        centre=place,
        radius=float(rng.uniform(4.0, 9.0)),
        character=float(rng.uniform(0, 1)),
        density=float(rng.uniform(-350, 40)),
        calcified=False,
    )
