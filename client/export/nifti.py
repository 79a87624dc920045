"""Writes masks as NIfTI, on the grid of the images that they were drawn on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from common.errors import DataError

_TO_RAS = np.diag(
    [-1.0, -1.0, 1.0, 1.0]
)  # DICOM's axes point left and back, NIfTI's right and front


def write_nifti(path: Path, images: Sequence[Dataset], masks: NDArray[np.uint8]) -> None:
    """Write one series' masks as a file, `.nii` or `.nii.gz`, that holds no name and no date.

    Args:
        path: of the file.
        images: headers of the series' slices, evenly spaced; their order is that of the masks.
        masks: [slices, rows, columns], numbers of structures; 0 is none.

    Raises:
        DataError: the slices do not say where they lie, or are not evenly spaced.
    """
    import nibabel

    voxels = np.ascontiguousarray(masks.transpose(2, 1, 0))
    image = nibabel.Nifti1Image(voxels, affine_of(images))
    image.header.set_xyzt_units("mm")
    image.to_filename(path)


def affine_of(images: Sequence[Dataset]) -> NDArray[np.float64]:
    """Return the matrix [4, 4] that takes (column, row, slice) to millimetres to the right, front and head.

    Raises:
        DataError: the slices do not say where they lie, or are not evenly spaced.
    """
    try:
        places = np.array([image.ImagePositionPatient for image in images], dtype=np.float64)
        across, down = np.array(images[0].ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
        rows, columns = (float(step) for step in images[0].PixelSpacing)
    except (AttributeError, TypeError, ValueError):
        raise DataError("The images do not say where they lie.") from None
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = across * columns, down * rows
    affine[:3, 2] = _step(images, places, np.cross(across, down))
    affine[:3, 3] = places[0]
    return _TO_RAS @ affine


def _step(
    images: Sequence[Dataset], places: NDArray[np.float64], normal: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the way [3] from a slice to the next (mm)."""
    if len(places) == 1:
        return normal * float(images[0].get("SliceThickness") or 1.0)
    steps = np.diff(places, axis=0)
    if np.abs(steps - steps[0]).max() > 0.05:
        raise DataError(
            "The slices are not evenly spaced, which NIfTI cannot say.",
            fix="Write a DICOM segmentation, which keeps every slice's own place.",
        )
    mean: NDArray[np.float64] = steps.mean(0)
    return mean
