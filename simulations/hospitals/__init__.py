"""Generated hospitals: DICOM archives, tables and series that belong to no person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def create(
    directory: Path,
    *,
    sites: int,
    patients: int,
    seed: int,
    archives: Sequence[str] | None = None,
    workers: int | None = None,
) -> list[Path]:
    """Write generated hospitals into `directory`; the same arguments give the same bytes.

    A folder that holds the same hospitals already is used as it is.

    Args:
        directory: new or empty.
        sites: how many hospitals.
        patients: of each hospital in each archive; glucose has an eighth of them, at least 12.
        seed: of everything drawn.
        archives: names of the data sets (entry points `consilium.hospitals`); none: all.
        workers: processes; none: two.

    Returns:
        the sites' folders, each with a site.toml.

    Raises:
        StudyError: an archive is unknown or a number out of range.
        RunError: the folder holds something else.
        MachineError: the disk is full or the folder cannot be written to.
    """
    from simulations.hospitals import writing  # pydicom and scipy, only once they are needed

    return writing.create(
        directory, sites=sites, patients=patients, seed=seed, archives=archives, workers=workers
    )
