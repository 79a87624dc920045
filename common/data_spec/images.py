"""Images in a study's `[data]` section: DICOM files and arrays."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.data_spec.base import SizedSpec
from common.later import LATER


class ImageSpec(SizedSpec):
    """Images from DICOM files: slices, stacks of neighbouring slices, or volumes.

    A slice gives samples of shape (1, rows, columns); `planes` gives (planes, rows, columns), a
    slice between its neighbours; `depth` gives (1, depth, rows, columns), one volume a series (or a
    point). With `colour = "rgb"` each plane has three channels.

    Attributes:
        spacing_mm: resample in the plane to this pixel spacing; none: keep each scanner's own.
        centre: crop round the labels' `x_mm, y_mm, z_mm` ("point", DICOM patient coordinates),
            round the middle of a structure in the site's masks ("mask"), or the image's middle.
        slices: "all", or the n slices of each series nearest to the point or to the middle of the
            series.
        window_centre: middle of the intensity window, in HU for CT, else in the modality's
            rescaled units; colours have 0 to 255.
        window_width: width of that window; its ends map to -1 and 1, beyond them is clipped.
        modality: files of any other DICOM modality are quarantined.
        planes: slices in a sample (2.5D), an odd number; beyond the series the last one repeats.
        depth: slices in a volume (3D); none: samples are slices.
        slice_spacing_mm: resample through the slices to this distance; none: the scanner's own.
        max_gap_mm: slices so far apart are joined; none: a series in which a slice is missing is
            left out of volumes and stacks.
        plane: "axial", "coronal" or "sagittal" leaves out other planes and turns images alike:
            left of the body to the right, front or head up, slices from feet to head, front to
            back or right to left. "any": as stored.
        intensity: "window", or "voi": as the file itself wants to be shown.
        colour: leave coloured images out, take their brightness, or take red, green and blue.
        structure: name of the structure in the masks, for centre = "mask".
    """

    kind: Literal["dicom"]
    spacing_mm: float | None = Field(default=None, gt=0.0, le=100.0)
    centre: Literal["image", "point", "mask"] = "image"
    slices: Literal["all"] | Annotated[int, Field(ge=1)] = "all"
    window_centre: float = -600.0
    window_width: float = Field(default=1500.0, gt=0.0)
    modality: Literal["CT", "MR", "PT", "NM", "CR", "DX", "MG", "US"] = "CT"
    planes: int = Field(default=1, ge=1, le=63, json_schema_extra=LATER)
    depth: int | None = Field(default=None, ge=1, le=1024, json_schema_extra=LATER)
    slice_spacing_mm: float | None = Field(default=None, gt=0.0, le=100.0, json_schema_extra=LATER)
    max_gap_mm: float | None = Field(default=None, gt=0.0, le=1000.0, json_schema_extra=LATER)
    plane: Literal["any", "axial", "coronal", "sagittal"] = Field(
        default="any", json_schema_extra=LATER
    )
    intensity: Literal["window", "voi"] = Field(default="window", json_schema_extra=LATER)
    colour: Literal["refuse", "grey", "rgb"] = Field(default="refuse", json_schema_extra=LATER)
    structure: str | None = Field(
        default=None, min_length=1, max_length=64, json_schema_extra=LATER
    )

    @model_validator(mode="after")
    def _agreed(self) -> ImageSpec:
        """Refuse keys that contradict each other."""
        if self.planes % 2 == 0:
            raise ValueError("planes must be odd: a slice and its neighbours on both sides")
        if self.depth is not None and self.planes > 1:
            raise ValueError("give either planes (stacks of slices) or depth (volumes)")
        if self.depth is not None and self.slices != "all":
            raise ValueError("a volume has all slices within its depth: leave out slices")
        if self.depth is None and self.planes == 1 and (self.slice_spacing_mm or self.max_gap_mm):
            raise ValueError("slice_spacing_mm and max_gap_mm need planes or depth")
        if (self.centre == "mask") != (self.structure is not None):
            raise ValueError("centre = 'mask' and structure belong together")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        colours = 3 if self.colour == "rgb" else 1
        if self.depth is not None:
            return (colours, self.depth, *self.image_size)
        return (colours * self.planes, *self.image_size)


class ArraySpec(SizedSpec):
    """Images or volumes in an .npz file.

    An image gives a sample of shape (channels, rows, columns), a volume one of (channels, depth, rows, columns).

    Attributes:
        channels: 1 (grey) or 3 (RGB; a grey image is repeated).
        value_min: stored value that maps to -1.
        value_max: stored value that maps to 1; beyond the two is clipped.
        depth: slices in a volume (3D); none: samples are images.
    """

    kind: Literal["arrays"]
    channels: Literal[1, 3] = 1
    value_min: float = 0.0
    value_max: float = 255.0
    depth: int | None = Field(default=None, ge=1, le=1024, json_schema_extra=LATER)

    @model_validator(mode="after")
    def _ordered(self) -> ArraySpec:
        """Refuse an empty range."""
        if self.value_min >= self.value_max:
            raise ValueError("value_min must be less than value_max")
        return self

    @property
    def grid(self) -> tuple[int, ...]:
        """Sides of a sample in pixels: (rows, columns) or (depth, rows, columns)."""
        return self.image_size if self.depth is None else (self.depth, *self.image_size)

    @property
    def things(self) -> str:
        """What the samples are, for messages."""
        return "images" if self.depth is None else "volumes"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return (self.channels, *self.grid)
