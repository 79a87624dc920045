"""Leaves out slices that lack what the study needs."""

from __future__ import annotations

from client.data.dicom.display import can_show
from client.data.dicom.orientation import plane_of
from client.data.dicom.slices import Slice
from common.data_spec import ImageSpec

PLACED = ("mask", "points")
"""Targets that lie somewhere in the body."""


def lack_of(found: Slice, spec: ImageSpec) -> str:
    """Return the reason why a slice does not suit the study; "" if it does."""
    if found.colour and spec.colour == "refuse":
        return "colour image"
    if spec.intensity == "voi" and not can_show(found):
        return "no display window in the file"
    if spec.spacing_mm is not None and found.spacing_mm is None:
        return "geometry missing: pixel spacing"
    if _needs_place(spec) and (found.geometry is None or _lacks_spacing(found, spec)):
        return "geometry missing: position or orientation"
    if spec.plane != "any" and found.geometry and plane_of(found.geometry) != spec.plane:
        return f"not {spec.plane}"
    return ""


def _needs_place(spec: ImageSpec) -> bool:
    asked = spec.centre != "image" or spec.plane != "any" or spec.labels in PLACED
    return asked or spec.slice_spacing_mm is not None


def _lacks_spacing(found: Slice, spec: ImageSpec) -> bool:
    wanted = spec.centre != "image" or spec.labels in PLACED
    return wanted and found.spacing_mm is None
