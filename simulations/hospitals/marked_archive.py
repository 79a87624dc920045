"""Archives of CT series whose nodules are marked by points."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulations.hospitals.dicom_archive import DicomArchive, patient_coordinates
from simulations.hospitals.phantom import Nodule, Volume
from simulations.hospitals.plan import Archive, HospitalPlan
from simulations.hospitals.scanner import acquire

Draw = Callable[[np.random.Generator, float], tuple[Volume, list[Nodule]]]
"""Draws a patient: from random numbers and the slices' thickness (mm) to a volume and the nodules in it."""


def write_marked(plan: HospitalPlan, name: str, spacing: float, draw: Draw) -> Archive:
    """Write DICOM files and labels.csv (patient_id, x_mm, y_mm, z_mm, diameter_mm): a row a nodule.

    A patient without nodules has one row without numbers.

    Args:
        plan: of the hospital.
        name: of the archive.
        spacing: of the pixels, mm.
        draw: makes each patient.
    """
    archive = DicomArchive(plan, name, spacing=spacing)
    rows: list[list[str]] = []
    for number in range(plan.patients):
        rng = plan.random(name, number)
        volume, nodules = draw(rng, plan.scanner.thickness)
        series = archive.add(number, acquire(volume, plan.scanner, rng, spacing), rng)
        marks = [
            [*patient_coordinates(series, each.centre), f"{2 * each.radius:.1f}"]
            for each in nodules
        ]
        rows += [[series.patient, *mark] for mark in marks or [[""] * 4]]
    return archive.finish(["patient_id", "x_mm", "y_mm", "z_mm", "diameter_mm"], rows)
