"""The mass-localisation archive: CT slices of lung with or without one mass, whose middle and size are known."""

from __future__ import annotations

import numpy as np

from simulations.hospitals.dicom_archive import DicomArchive, patient_coordinates
from simulations.hospitals.phantom import (
    Grid,
    Nodule,
    Volume,
    add_nodule,
    add_vessels,
    parenchyma,
)
from simulations.hospitals.plan import Archive, HospitalPlan, shuffled_labels
from simulations.hospitals.scanner import acquire

NAME = "mass-localisation"
SLICES, SIDE, SPACING = 2, 40, 3.0
WITH_MASS = (0.50, 0.44, 0.56, 0.48)
"""Share of each hospital's patients who have one."""
MARGIN_MM = 20.0
"""Masses' middles keep so far from the edges of the image."""


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files and labels.csv (patient_id, x_mm, y_mm, z_mm, diameter_mm), a row a patient.

    The row of a patient without a mass has no numbers.
    """
    archive = DicomArchive(plan, NAME, spacing=SPACING)
    share = WITH_MASS[plan.index % len(WITH_MASS)]
    labels = shuffled_labels(plan.random(NAME + "/labels"), plan.patients, (1 - share, share))
    rows: list[list[str]] = []
    for number, label in enumerate(labels):
        rng = plan.random(NAME, number)
        volume, mass = draw_lung(rng, plan.scanner.thickness, bool(label))
        series = archive.add(number, acquire(volume, plan.scanner, rng, SPACING), rng)
        mark = [""] * 4
        if mass is not None:
            mark = [*patient_coordinates(series, mass.centre), f"{2 * mass.radius:.1f}"]
        rows.append([series.patient, *mark])
    return archive.finish(["patient_id", "x_mm", "y_mm", "z_mm", "diameter_mm"], rows)


def draw_lung(
    rng: np.random.Generator, thickness: float, ill: bool
) -> tuple[Volume, Nodule | None]:
    """Return slices of lung (Z, Y, X) in Hounsfield units, and the mass in them; none where there is none."""
    grid = Grid(SLICES, SIDE, SPACING, thickness)
    volume = parenchyma(grid, rng)
    add_vessels(volume, grid, rng, int(rng.integers(5, 10)))
    if not ill:
        return volume, None
    low = np.array([0.0, MARGIN_MM, MARGIN_MM])
    mass = Nodule(
        centre=rng.uniform(low, grid.extent - low),
        radius=float(rng.uniform(9.0, 17.0)),
        character=float(rng.uniform(0, 1)),
        density=float(rng.uniform(-450, 40)),
        calcified=False,
    )
    add_nodule(volume, grid, mass, rng, grain=3.0)
    return volume, mass
