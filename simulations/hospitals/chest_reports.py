"""The chest-reports archive: chest slices, each with the sentence that a radiologist wrote about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulations.hospitals.chest import add_lung_vessels, assemble, lung
from simulations.hospitals.dicom_archive import DicomArchive
from simulations.hospitals.lesions import add_water
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
from simulations.hospitals.scanner import acquire

NAME = "chest-reports"
SLICES, SIZE, SPACING = 1, 96, 3.6
SIDES = ("right", "left")
"""Of the body, in the order of the columns of an image as radiologists look at it."""
RADIUS = {"small": (10.0, 13.0), "large": (20.0, 26.0)}
"""Of a nodule, mm."""
SHARES = ((0.60, 0.45), (0.50, 0.35), (0.70, 0.50), (0.55, 0.40))
"""Patients with a nodule and with an effusion, by hospital."""
HABITS = (0.2, 0.8, 0.5, 0.4)
"""How often a hospital's radiologists write in the shorter of two ways."""


@dataclass(frozen=True)
class Findings:
    """What is seen in one chest.

    Attributes:
        nodule: its size and side; none: there is no nodule.
        effusion: the side of a pleural effusion; none: there is no effusion.
    """

    nodule: tuple[str, str] | None
    effusion: str | None


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files and labels.csv (patient_id, report)."""
    archive = DicomArchive(plan, NAME, spacing=SPACING)
    shares, habit = SHARES[plan.index % len(SHARES)], HABITS[plan.index % len(HABITS)]
    rows = []
    for number in range(plan.patients):
        rng = plan.random(NAME, number)
        findings = draw_findings(rng, *shares)
        chest = draw_chest(rng, findings, plan.scanner.thickness)
        series = archive.add(number, acquire(chest, plan.scanner, rng, SPACING), rng)
        rows.append([series.patient, sentence(findings, short=bool(rng.random() < habit))])
    return archive.finish(["patient_id", "report"], rows)


def draw_findings(rng: np.random.Generator, nodules: float, effusions: float) -> Findings:
    """Draw what a patient has; every size and side is as likely as the other."""
    nodule = (str(rng.choice(list(RADIUS))), str(rng.choice(SIDES)))
    effusion = str(rng.choice(SIDES))
    return Findings(
        nodule if rng.random() < nodules else None, effusion if rng.random() < effusions else None
    )


def sentence(findings: Findings, *, short: bool) -> str:
    """Return the report in one of two ways of writing."""
    if findings.nodule is None and findings.effusion is None:
        return "Clear lungs." if short else "No nodule and no effusion."
    size, side = findings.nodule or ("", "")
    nodule = f"{size} nodule in the {side} lung" if findings.nodule else "no nodule"
    effusion = f"{findings.effusion} effusion" if findings.effusion else "no effusion"
    if short:
        return f"{nodule}, {effusion}.".capitalize()
    return f"{'There is a ' if findings.nodule else ''}{nodule} and {effusion}.".capitalize()


def draw_chest(rng: np.random.Generator, findings: Findings, thickness: float) -> Volume:
    """Return an axial slice (1, Y, X) of a chest with these findings, in Hounsfield units."""
    grid = Grid(SLICES, SIZE, SPACING, thickness)
    middle = grid.extent / 2 + rng.normal(0.0, 6.0, 3) * np.array([0.0, 1.0, 1.0])
    air = parenchyma(grid, rng, LUNG_HU + rng.normal(0.0, 25.0))
    add_lung_vessels(air, grid, middle, rng)
    if findings.effusion is not None:
        add_water(air, grid, middle, _way(findings.effusion), rng)
    if findings.nodule is not None:
        size, side = findings.nodule
        nodule = Nodule(
            centre=_place(middle, _way(side), rng),
            radius=float(rng.uniform(*RADIUS[size])),
            character=float(rng.uniform(0.0, 0.5)),
            density=30.0,
            calcified=False,
        )
        add_nodule(air, grid, nodule, rng, grain=3.5)
    lungs = np.maximum(*(lung(grid, middle, side, rng) for side in (-1, 1)))
    return assemble(grid, middle, air, lungs, rng)


def _way(side: str) -> int:
    return 2 * SIDES.index(side) - 1


def _place(middle: Vector, way: int, rng: np.random.Generator) -> Vector:
    """Return a point (z, y, x) in the front or the middle of one lung, in mm."""
    place: Vector = middle + np.array([0.0, rng.uniform(-45, 20), way * rng.uniform(60, 82)])
    return place
