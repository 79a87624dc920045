"""What a reader has drawn on generated images: DICOM SEG at some hospitals, NIfTI at others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from client.export.dicom_seg import Author, Identity, write_seg
from client.export.nifti import write_nifti
from simulations.hospitals.ct_file import FIRST_DAY, Series, uid
from simulations.hospitals.plan import Archive, HospitalPlan

READER = Author("reader", "1", by_hand=True)
NOON = datetime.strptime(str(FIRST_DAY), "%Y%m%d").replace(hour=12)


class Outlines:
    """Writes the masks of one DICOM data set; every second hospital has NIfTI files, named after the patients.

    Args:
        plan: the site.
        name: of the data set.
        structures: names of the structures 1, 2, …
    """

    def __init__(self, plan: HospitalPlan, name: str, structures: Sequence[str]) -> None:
        self._structures = structures
        self._nifti = plan.index % 2 == 1
        self._path = f"{name}/masks"
        self._folder = plan.folder / self._path
        self._folder.mkdir(parents=True)

    def add(self, series: Series, paths: Sequence[Path], masks: NDArray[np.uint8]) -> None:
        """Write the masks [slices, rows, columns] of a series whose files are `paths`."""
        images = [dcmread(path, stop_before_pixels=True) for path in paths]
        if self._nifti:
            write_nifti(self._folder / f"{series.patient}.nii.gz", images, masks)
            return
        file = self._folder / f"{series.patient}.dcm"
        write_seg(file, images, masks, self._structures, READER, _identity(series))

    def named_in(self, archive: Archive) -> Archive:
        """Return the data set with where its masks are, and what they call the structures."""
        extra: list[tuple[str, Any]] = [("masks", self._path)]
        if self._nifti:
            numbers = {name: str(n) for n, name in enumerate(self._structures, start=1)}
            extra.append(("structures", numbers))
        return replace(archive, extra=(*archive.extra, *extra))


def _identity(series: Series) -> Identity:
    """Return UIDs and a time that follow from the series."""
    new, one, index = (uid(series.key, "masks", part) for part in ("series", "instance", "index"))
    return Identity(new, one, index, NOON)
