"""Segmentations of structures: DICOM SEG, RTSTRUCT contours and NIfTI masks, as regions of the body."""

from client.data.masks.reading import masks_in, read
from client.data.masks.regions import Mask, Region, on_slice

__all__ = ["Mask", "Region", "masks_in", "on_slice", "read"]
