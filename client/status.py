"""What a site knows of its own part in a study. It stays at the site; a simulation reads it for its report."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from client.data.cohort import Cohort
from common.files import write_atomically

FILE = "status.json"


@dataclass(frozen=True)
class SiteStatus:
    """Exact figures of a site, for its own people.

    Attributes:
        folder: where the status is kept.
        patients, train_patients, test_patients, samples: of the cohort.
        declared_patients: the public number.
        quarantined: files or rows left out; `quarantine_reasons` counts them by reason.
        notes: what the site's people should know about the data.
        steps: optimiser steps behind what is charged to the ledger.
        sigma: noise multiplier σ; 0 without privacy.
        epsilon, delta: spent on this study so far; infinite without privacy.
        bytes_sent: of patient-dependent content.
    """

    folder: Path
    patients: int
    train_patients: int
    test_patients: int
    samples: int
    declared_patients: int
    quarantined: int
    quarantine_reasons: dict[str, int]
    notes: tuple[str, ...]
    steps: int
    sigma: float
    epsilon: float
    delta: float
    bytes_sent: int

    @classmethod
    def of(
        cls,
        folder: Path,
        cohort: Cohort,
        *,
        declared_patients: int,
        steps: int,
        sigma: float,
        epsilon: float,
        delta: float,
        bytes_sent: int,
    ) -> SiteStatus:
        """Collect the figures of a cohort and of what it spent."""
        return cls(
            folder=folder,
            patients=cohort.patients,
            train_patients=cohort.train_patients,
            test_patients=cohort.test_patients,
            samples=cohort.samples,
            declared_patients=declared_patients,
            quarantined=cohort.quarantine.total,
            quarantine_reasons=dict(cohort.quarantine.counts),
            notes=cohort.notes,
            steps=steps,
            sigma=sigma,
            epsilon=epsilon,
            delta=delta,
            bytes_sent=bytes_sent,
        )

    def to_json(self) -> dict[str, object]:
        """Return all figures but the folder."""
        content = dataclasses.asdict(self)
        del content["folder"]
        return content

    def write(self) -> None:
        """Replace the status file."""
        write_atomically(self.folder / FILE, json.dumps(self.to_json(), indent=1, allow_nan=True))

    @classmethod
    def read(cls, folder: Path) -> SiteStatus | None:
        """Return the status of a folder, or None where there is none."""
        try:
            content = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(folder=folder, **{**content, "notes": tuple(content["notes"])})
        except (OSError, ValueError, KeyError, TypeError):  # none, damaged, or of another version
            return None
