"""The five-class archive: whole chest slices that are normal or show one of four findings."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from simulations.hospitals.dicom_archive import DicomArchive
from simulations.hospitals.phantom import (
    FAT_HU,
    LUNG_HU,
    SOFT_HU,
    Grid,
    Nodule,
    Volume,
    add_nodule,
    add_tube,
    parenchyma,
    points,
    soft,
)
from simulations.hospitals.plan import Archive, HospitalPlan, shuffled_labels
from simulations.hospitals.scanner import acquire

NAME = "lung-ct-5class"
CLASSES = ("normal", "benign-nodule", "malignant-nodule", "consolidation", "emphysema")
SHARES = ((2, 2, 2, 2, 2), (3, 1, 2, 2, 2), (2, 2, 3, 1, 2), (2, 3, 2, 2, 1))
SLICES, SIZE, SPACING = 2, 96, 3.6
WHOLE = (slice(0, SLICES), slice(0, SIZE), slice(0, SIZE))


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
    lungs = [_lung(grid, middle, side, rng) for side in (-1, 1)]
    air = parenchyma(grid, rng, LUNG_HU + rng.normal(0.0, 25.0))
    _add_vessels(air, grid, middle, rng)
    chosen = middle + np.array(
        [0.0, rng.uniform(-45, 45), rng.choice([-1, 1]) * rng.uniform(58, 85)]
    )
    _FINDINGS[finding](air, grid, chosen, rng)
    return _assemble(grid, middle, air, np.maximum(*lungs), rng)


def _lung(grid: Grid, middle: np.ndarray, side: int, rng: np.random.Generator) -> Volume:
    _, y, x = points(grid, WHOLE)
    wide, tall = rng.uniform(46, 54), rng.uniform(78, 92)
    away = np.hypot((x - middle[2] - side * 70) / wide, (y - middle[1]) / tall)
    return np.broadcast_to(soft((away - 1.0) * wide, 1.5), grid.shape)


def _assemble(
    grid: Grid, middle: np.ndarray, air: Volume, lungs: Volume, rng: np.random.Generator
) -> Volume:
    """Put body, fat, spine and lungs together; outside is air."""
    _, y, x = points(grid, WHOLE)
    wide, tall = rng.uniform(148, 160), rng.uniform(108, 118)
    rim = np.hypot((x - middle[2]) / wide, (y - middle[1]) / tall)
    body = soft((rim - 1.0) * tall, 2.0)
    tissue = SOFT_HU + (FAT_HU - SOFT_HU) * (1.0 - soft((rim - 0.9) * tall, 2.0))
    spine = soft(np.hypot(x - middle[2], y - middle[1] - 80) - 17.0, 2.0)
    tissue = tissue + spine * 260.0
    volume = -1000.0 + body * (tissue + 1000.0)
    return (volume + lungs * (air - volume)).astype(np.float32)


def _add_vessels(air: Volume, grid: Grid, middle: np.ndarray, rng: np.random.Generator) -> None:
    for _ in range(26):
        side = rng.choice([-1, 1])
        start = middle + np.array([rng.normal(0, 2.0), rng.normal(0, 18), side * 30])
        end = middle + np.array(
            [rng.normal(0, 6.0), rng.normal(0, 60), side * rng.uniform(60, 115)]
        )
        add_tube(air, grid, start, end, rng.uniform(1.0, 3.2), SOFT_HU - rng.uniform(0, 200), 0.4)


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


def _patch(grid: Grid, at: np.ndarray, radius: float, rng: np.random.Generator) -> Volume:
    """A blurred-edged region of uneven outline, 0 to 1."""
    _, y, x = points(grid, WHOLE)
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    wave = gaussian_filter(noise, (0, 12 / grid.spacing, 12 / grid.spacing), mode="wrap")
    away = np.hypot(y - at[1], x - at[2]) + 9.0 * wave / wave.std()
    return soft(away - radius, 4.0)


def _consolidation(air: Volume, grid: Grid, at: np.ndarray, rng: np.random.Generator) -> None:
    region = _patch(grid, at, rng.uniform(20, 34), rng)
    air += region * rng.uniform(0.55, 0.9) * (SOFT_HU - 40.0 - air)


def _emphysema(air: Volume, grid: Grid, at: np.ndarray, rng: np.random.Generator) -> None:
    """Holes of pure air throughout, and a darker lung."""
    air -= rng.uniform(10.0, 40.0)
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    bubbles = gaussian_filter(noise, (0.5, 5 / grid.spacing, 5 / grid.spacing), mode="wrap")
    holes = soft((0.75 - bubbles / bubbles.std()) * 4.0, 1.0)
    air += holes * (-985.0 - air)


_FINDINGS = {
    "normal": _normal,
    "benign-nodule": _benign,
    "malignant-nodule": _malignant,
    "consolidation": _consolidation,
    "emphysema": _emphysema,
}
