"""Lays patients out as a DICOM export does: nested folders, names that say nothing, a label file."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from simulations.hospitals.broken import write_broken
from simulations.hospitals.ct_file import Series, write_series
from simulations.hospitals.phantom import Vector, Volume
from simulations.hospitals.plan import Archive, HospitalPlan

BRANCHES = 10


class DicomArchive:
    """Writes one DICOM data set into a site's folder.

    Args:
        plan: the site.
        name: of the data set.
        spacing: of its images in mm; none: the scanner's.

    Attributes:
        paths: of the last patient's files, slice by slice.
    """

    def __init__(self, plan: HospitalPlan, name: str, *, spacing: float | None = None) -> None:
        self.plan = plan
        self.name = name
        self.spacing = spacing or plan.scanner.spacing
        self.root = plan.folder / name / "dicom"
        self.root.mkdir(parents=True)
        self._files = 0
        self.paths: list[Path] = []

    def add(self, number: int, volume: Volume, rng: np.random.Generator) -> Series:
        """Write one patient's slices; returns the series with where it lies in the patient's frame."""
        plan, scanner = self.plan, self.plan.scanner
        half = (volume.shape[1] - 1) / 2 * self.spacing
        series = Series(
            key=f"{plan.seed}/{plan.index}/{self.name}/{number}",
            patient=plan.identifier(self.name, number),
            sex="F" if rng.random() < 0.5 else "M",
            age=int(np.clip(rng.normal(64, 11), 25, 94)),
            origin=(
                round(float(rng.uniform(-90, 90)) - half, 3),
                round(float(rng.uniform(-60, 60)) - half, 3),
                round(float(rng.uniform(-260, -40)), 3),
            ),
            spacing=self.spacing,
            thickness=scanner.thickness,
        )
        self.paths = self._paths(number, len(volume))
        write_series(series, volume, scanner, self.paths)
        return series

    def finish(self, columns: list[str], rows: Iterable[list[str]]) -> Archive:
        """Write the label file (sorted by patient) and the unusable files; returns the data set."""
        labels = f"{self.name}/labels.csv"
        with (self.plan.folder / labels).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(sorted(rows))
        write_broken(self.root / "EXPORT" / "LOST", self.plan, self.name)
        return Archive(self.name, "dicom", f"{self.name}/dicom", self.plan.patients, labels=labels)

    def _paths(self, number: int, slices: int) -> list[Path]:
        """Nested folders and running numbers: neither names a patient, a series or an order."""
        folder = self.root / f"EXPORT/D{number % BRANCHES:03d}/S{number // BRANCHES:05d}"
        folder.mkdir(parents=True)
        first = self._files
        self._files += slices
        order = self.plan.random(f"{self.name}/order", number).permutation(slices)
        return [folder / f"{first + int(place) + 1:08d}" for place in order]


def patient_coordinates(series: Series, point: Vector) -> list[str]:
    """Return x, y, z (patient coordinates, mm) of a point (z, y, x) in the volume's own frame."""
    z, y, x = (float(value) for value in point)
    left, back, head = series.origin
    return [f"{value:.2f}" for value in (left + x, back + y, head + z)]
