"""The chest-findings archive: chest slices, each with what its radiologist said of four findings, or left unsaid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulations.hospitals.chest import add_lung_vessels, assemble, lung, place_in_lung
from simulations.hospitals.dicom_archive import DicomArchive
from simulations.hospitals.lesions import add_consolidation, add_emphysema, add_water
from simulations.hospitals.phantom import LUNG_HU, Grid, Nodule, Volume, add_nodule, parenchyma
from simulations.hospitals.plan import Archive, HospitalPlan
from simulations.hospitals.scanner import acquire

NAME = "chest-findings"
FINDINGS = ("nodule", "effusion", "consolidation", "emphysema")
SLICES, SIZE, SPACING = 1, 96, 3.6
SHARES = (
    (0.45, 0.35, 0.25, 0.30),
    (0.30, 0.45, 0.35, 0.20),
    (0.55, 0.25, 0.20, 0.35),
    (0.40, 0.30, 0.30, 0.25),
)
"""Patients with each finding, by hospital."""
UNSAID = 0.15
"""Share of the findings of which a report says nothing, whether they are there or not."""
UNREAD = {2: "emphysema"}
"""What the radiologists of a hospital (by its number) never report."""
WORDS = (("1", "0", ""), ("1", "0", "-1"))
"""How hospitals write present, absent and unsaid, in turn."""


def write(plan: HospitalPlan) -> Archive:
    """Write DICOM files and labels.csv (patient_id and a column for each finding)."""
    archive = DicomArchive(plan, NAME, spacing=SPACING)
    shares = dict(zip(FINDINGS, SHARES[plan.index % len(SHARES)], strict=True))
    rows = []
    for number in range(plan.patients):
        rng = plan.random(NAME, number)
        findings = {name: bool(rng.random() < share) for name, share in shares.items()}
        chest = draw_chest(rng, findings, plan.scanner.thickness)
        series = archive.add(number, acquire(chest, plan.scanner, rng, SPACING), rng)
        rows.append([series.patient, *_said(findings, plan.index, rng)])
    return archive.finish(["patient_id", *FINDINGS], rows)


def draw_chest(rng: np.random.Generator, findings: Mapping[str, bool], thickness: float) -> Volume:
    """Return an axial slice (1, Y, X) of a chest with these findings, in Hounsfield units."""
    grid = Grid(SLICES, SIZE, SPACING, thickness)
    middle = grid.extent / 2 + rng.normal(0.0, 6.0, 3) * np.array([0.0, 1.0, 1.0])
    air = parenchyma(grid, rng, LUNG_HU + rng.normal(0.0, 25.0))
    add_lung_vessels(air, grid, middle, rng)
    lungs = np.maximum(*(lung(grid, middle, side, rng) for side in (-1, 1)))
    own = rng.spawn(1)[0]  # of the findings alone: without them the chest is the same
    if findings["emphysema"]:
        add_emphysema(air, grid, own)
    if findings["consolidation"]:
        add_consolidation(air, grid, place_in_lung(middle, own), own)
    if findings["effusion"]:
        add_water(air, grid, middle, int(own.choice([-1, 1])), own)
    if findings["nodule"]:
        radius, character = float(own.uniform(10, 18)), float(own.uniform(0.0, 1.0))
        nodule = Nodule(place_in_lung(middle, own), radius, character, 30.0, calcified=False)
        add_nodule(air, grid, nodule, own, grain=3.5)
    return assemble(grid, middle, air, lungs, rng)


def _said(findings: Mapping[str, bool], index: int, rng: np.random.Generator) -> list[str]:
    """Return what the table of labels says of each finding."""
    present, absent, unsaid = WORDS[index % len(WORDS)]
    words = []
    for name, is_there in findings.items():
        left_out = rng.random() < UNSAID or UNREAD.get(index % len(SHARES)) == name
        words.append(unsaid if left_out else present if is_there else absent)
    return words
