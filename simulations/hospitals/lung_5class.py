"""The five-class archive: whole chest slices that are normal or show one of four findings."""

from __future__ import annotations

import numpy as np

from simulations.hospitals.chest import add_lung_vessels, assemble, lung, place_in_lung
from simulations.hospitals.dicom_archive import DicomArchive
from simulations.hospitals.lesions import add_consolidation, add_emphysema
from simulations.hospitals.phantom import (
    LUNG_HU,
    Grid,
    Nodule,
    Volume,
    add_nodule,
    parenchyma,
)
from simulations.hospitals.plan import Archive, HospitalPlan, shuffled_labels
from simulations.hospitals.scanner import acquire

NAME = "lung-ct-5class"
CLASSES = ("normal", "benign-nodule", "malignant-nodule", "consolidation", "emphysema")
SHARES = ((2, 2, 2, 2, 2), (3, 1, 2, 2, 2), (2, 2, 3, 1, 2), (2, 3, 2, 2, 1))
SLICES, SIZE, SPACING = 2, 96, 3.6


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files and labels.csv (patient_id, label: the class's name)."""
    archive = DicomArchive(plan, NAME, spacing=SPACING)
    shares = SHARES[plan.index % len(SHARES)]
    labels = shuffled_labels(plan.random(NAME + "/labels"), plan.patients, shares)
    rows = []
    for number, label in enumerate(labels):
        rng = plan.random(NAME, number)
        chest = draw_chest(rng, CLASSES[label], plan.scanner.thickness)
        volume = acquire(chest, plan.scanner, rng, SPACING)
        rows.append([archive.add(number, volume, rng).patient, CLASSES[label]])
    return archive.finish(["patient_id", "label"], rows)


def draw_chest(rng: np.random.Generator, finding: str, thickness: float) -> Volume:
    """Return axial slices (Z, Y, X) of a whole chest in Hounsfield units, with the finding in one lung."""
    grid = Grid(SLICES, SIZE, SPACING, thickness)
    middle = grid.extent / 2 + rng.normal(0.0, 4.0, 3) * np.array([0.0, 1.0, 1.0])
    lungs = [lung(grid, middle, side, rng) for side in (-1, 1)]
    air = parenchyma(grid, rng, LUNG_HU + rng.normal(0.0, 25.0))
    add_lung_vessels(air, grid, middle, rng)
    chosen = place_in_lung(middle, rng)
    _FINDINGS[finding](air, grid, chosen, rng)
    return assemble(grid, middle, air, np.maximum(*lungs), rng)


def _normal(air: Volume, grid: Grid, at: np.ndarray, rng: np.random.Generator) -> None:
    """Leave the lung as it is."""


def _nodule(
    low: float, high: float, air: Volume, grid: Grid, at: np.ndarray, rng: np.random.Generator
) -> None:
    character = float(rng.uniform(low, high))
    nodule = Nodule(at, float(rng.uniform(10, 17)), character, 30.0, calcified=False)
    add_nodule(air, grid, nodule, rng, grain=3.5)


def _benign(air: Volume, grid: Grid, at: np.ndarray, rng: np.random.Generator) -> None:
    _nodule(0.0, 0.15, air, grid, at, rng)


def _malignant(air: Volume, grid: Grid, at: np.ndarray, rng: np.random.Generator) -> None:
    _nodule(0.75, 1.0, air, grid, at, rng)


def _emphysema(air: Volume, grid: Grid, at: np.ndarray, rng: np.random.Generator) -> None:
    add_emphysema(air, grid, rng)


_FINDINGS = {
    "normal": _normal,
    "benign-nodule": _benign,
    "malignant-nodule": _malignant,
    "consolidation": add_consolidation,
    "emphysema": _emphysema,
}
