"""What one generated hospital is to be: its name, its size, its seed, its machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simulations.hospitals.scanner import Scanner, scanner_of

DELTA = 1e-3


@dataclass(frozen=True)
class HospitalPlan:
    """One site of a recipe.

    Attributes:
        folder: the site's own folder, which exists.
        index: its number, from 0.
        patients: how many patients each of its image and table archives holds.
        seed: of the whole recipe; every file follows from (seed, index, archive, patient).
    """

    folder: Path
    index: int
    patients: int
    seed: int

    @property
    def name(self) -> str:
        """The site's name, `hospital-1` and so on."""
        return f"hospital-{self.index + 1}"

    @property
    def scanner(self) -> Scanner:
        """The site's CT."""
        return scanner_of(self.index)

    def random(self, archive: str, number: int = 0) -> np.random.Generator:
        """Return the generator of one patient (`number`) of one archive."""
        word = int.from_bytes(hashlib.sha256(archive.encode()).digest()[:4], "big")
        return np.random.default_rng([self.seed, self.index, word, number])

    def identifier(self, archive: str, number: int) -> str:
        """Return a patient's identifier, unlike any at another site."""
        text = f"{self.seed}/{self.index}/{archive}/{number}"
        return f"P{int(hashlib.sha256(text.encode()).hexdigest()[:15], 16) % 10**12:012d}"


@dataclass(frozen=True)
class Archive:
    """One data set that a writer left in a site's folder; becomes a `[data.NAME]` table.

    Attributes:
        name: of the data set.
        kind: of source that reads it.
        path: of its file or folder, relative to the site's folder, as `labels` is; empty: its parts say it.
        declared_patients: the public number of patients that the site states.
        labels: of DICOM data sets and signals.
        extra: further keys of the table.
    """

    name: str
    kind: Literal[
        "dicom", "table", "series", "signals", "records", "episodes", "molecules", "fused"
    ]
    path: str
    declared_patients: int
    labels: str | None = None
    extra: tuple[tuple[str, Any], ...] = ()


def class_counts(patients: int, shares: tuple[float, ...]) -> list[int]:
    """Return how many patients each class gets: the shares, rounded so that they add up."""
    ends = np.rint(np.cumsum(shares) / np.sum(shares) * patients).astype(int)
    return [int(n) for n in np.diff(ends, prepend=0)]


def shuffled_labels(
    rng: np.random.Generator, patients: int, shares: tuple[float, ...]
) -> list[int]:
    """Return one class index a patient, in the given shares, in random order."""
    labels = np.repeat(np.arange(len(shares)), class_counts(patients, shares))
    return [int(label) for label in rng.permutation(labels)]
