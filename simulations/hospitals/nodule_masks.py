"""The nodule-segmentation archive: small CT volumes round a nodule that a reader has marked and outlined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulations.hospitals.dicom_archive import DicomArchive, patient_coordinates
from simulations.hospitals.outlines import Outlines
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
from simulations.hospitals.scanner import Scanner, acquire

NAME = "nodule-segmentation"
STRUCTURES = ("nodule",)
DEPTH_MM, SIDE, SPACING = 44.0, 40, 1.4


@dataclass(frozen=True)
class Case:
    """One patient's scan.

    Attributes:
        volume: Hounsfield units as the scanner shows them, (Z, Y, X).
        mask: 1 in the nodule, 0 elsewhere.
        mark: the annotated point (z, y, x) in mm from the first voxel's centre.
    """

    volume: Volume
    mask: NDArray[np.uint8]
    mark: Vector


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files, masks and labels.csv (patient_id, x_mm, y_mm, z_mm of the mark)."""
    archive = DicomArchive(plan, NAME, spacing=SPACING)
    outlines = Outlines(plan, NAME, STRUCTURES)
    rows = []
    for number in range(plan.patients):
        rng = plan.random(NAME, number)
        case = draw_case(rng, plan.scanner)
        series = archive.add(number, case.volume, rng)
        outlines.add(series, archive.paths, case.mask)
        rows.append([series.patient, *patient_coordinates(series, case.mark)])
    return outlines.named_in(archive.finish(["patient_id", "x_mm", "y_mm", "z_mm"], rows))


def draw_case(rng: np.random.Generator, scanner: Scanner) -> Case:
    """Draw one patient: a nodule among vessels, often near the chest wall, marked some millimetres off its middle."""
    grid = Grid(round(DEPTH_MM / scanner.thickness), SIDE, SPACING, scanner.thickness)
    nodule = Nodule(
        centre=grid.extent / 2 + rng.uniform(-4.0, 4.0, 3),
        radius=float(np.clip(rng.lognormal(np.log(7.5), 0.3), 4.5, 13.0)),
        character=float(rng.uniform(0, 1)),
        density=float(rng.normal(10.0, 60.0)),
        calcified=False,
    )
    volume = parenchyma(grid, rng)
    add_vessels(volume, grid, rng, int(rng.integers(5, 10)))
    if rng.random() < 0.5:
        distance = nodule.radius + rng.exponential(10.0)
        add_wall(volume, grid, nodule.centre, rng.uniform(0, 2 * np.pi), distance)
    mask = add_nodule(volume, grid, nodule, rng).astype(np.uint8)
    mark = nodule.centre + rng.normal(0.0, 2.0, 3)
    return Case(acquire(volume, scanner, rng, SPACING), mask, mark)
