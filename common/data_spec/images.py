"""Images in a study's `[data]` section: DICOM files and arrays."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.data_spec.base import SizedSpec


class ImageSpec(SizedSpec):
    """Two-dimensional slices from DICOM files, shape (1, rows, columns).

    Attributes:
        spacing_mm: resample in the plane to this pixel spacing; none: keep each scanner's own.
        centre: crop round the labels' `x_mm, y_mm, z_mm` ("point", DICOM patient coordinates) or
            the image's middle.
        slices: "all", or the n slices of each series nearest to the point or to the middle of the
            series.
        window_centre: middle of the intensity window, in HU for CT, else in the modality's
            rescaled units.
        window_width: width of that window; its ends map to -1 and 1, beyond them is clipped.
        modality: files of any other DICOM modality are quarantined.
    """

    kind: Literal["dicom"]
    spacing_mm: float | None = Field(default=None, gt=0.0, le=100.0)
    centre: Literal["image", "point"] = "image"
    slices: Literal["all"] | Annotated[int, Field(ge=1)] = "all"
    window_centre: float = -600.0
    window_width: float = Field(default=1500.0, gt=0.0)
    modality: Literal["CT", "MR", "PT", "NM", "CR", "DX", "MG", "US"] = "CT"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (1, rows, columns)."""
        return (1, *self.image_size)


class ArraySpec(SizedSpec):
    """Images in an .npz file, shape (channels, rows, columns).

    Attributes:
        channels: 1 (grey) or 3 (RGB; a grey image is repeated).
        value_min: stored value that maps to -1.
        value_max: stored value that maps to 1; beyond the two is clipped.
    """

    kind: Literal["arrays"]
    channels: Literal[1, 3] = 1
    value_min: float = 0.0
    value_max: float = 255.0

    @model_validator(mode="after")
    def _ordered(self) -> ArraySpec:
        """Refuse an empty range."""
        if self.value_min >= self.value_max:
            raise ValueError("value_min must be less than value_max")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (channels, rows, columns)."""
        return (self.channels, *self.image_size)
