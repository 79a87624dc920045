"""The lung-segmentation archive: whole chest slices, with the lungs and the nodules in them outlined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulations.hospitals.chest import add_lung_vessels, assemble, lung, place_in_lung
from simulations.hospitals.dicom_archive import DicomArchive
from simulations.hospitals.outlines import Outlines
from simulations.hospitals.phantom import LUNG_HU, Grid, Nodule, Volume, add_nodule, parenchyma
from simulations.hospitals.plan import Archive, HospitalPlan
from simulations.hospitals.scanner import acquire

NAME = "lung-segmentation"
STRUCTURES = ("lungs", "nodule")
SLICES, SIZE, SPACING = 2, 96, 3.6
WITH_NODULE = 0.8
"""Share of the patients who have one."""


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files, masks and labels.csv (patient_id)."""
    archive = DicomArchive(plan, NAME, spacing=SPACING)
    outlines = Outlines(plan, NAME, STRUCTURES)
    rows = []
    for number in range(plan.patients):
        rng = plan.random(NAME, number)
        chest, masks = draw_chest(rng, plan.scanner.thickness)
        series = archive.add(number, acquire(chest, plan.scanner, rng, SPACING), rng)
        outlines.add(series, archive.paths, masks)
        rows.append([series.patient])
    return outlines.named_in(archive.finish(["patient_id"], rows))


def draw_chest(rng: np.random.Generator, thickness: float) -> tuple[Volume, NDArray[np.uint8]]:
    """Return axial slices (Z, Y, X) of a chest in Hounsfield units, and the number of each voxel's structure."""
    grid = Grid(SLICES, SIZE, SPACING, thickness)
    middle = grid.extent / 2 + rng.normal(0.0, 8.0, 3) * np.array([0.0, 1.0, 1.0])
    lungs = np.maximum(*(lung(grid, middle, side, rng) for side in (-1, 1)))
    air = parenchyma(grid, rng, LUNG_HU + rng.normal(0.0, 25.0))
    add_lung_vessels(air, grid, middle, rng)
    masks = (lungs > 0.5).astype(np.uint8)
    if rng.random() < WITH_NODULE:
        character, radius = float(rng.uniform(0, 1)), float(rng.uniform(9, 18))
        nodule = Nodule(place_in_lung(middle, rng), radius, character, 30.0, calcified=False)
        masks[add_nodule(air, grid, nodule, rng, grain=3.5) & (masks > 0)] = 2
    return assemble(grid, middle, air, lungs, rng), masks
