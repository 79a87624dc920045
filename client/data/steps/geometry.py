"""Steps on where pixels lie: resize, crop, flip, and one side for all. In the plane, each slice alike.

Masks [N, ..., rows, columns] go the same way.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from common.plugins import Options

Samples = NDArray[np.float32]
Masks = NDArray[Any]
KINDS = frozenset({"dicom", "arrays"})
Side = Annotated[int, Field(ge=1, le=4096)]


class SizeOptions(Options):
    """Rows and columns afterwards; one number for a square."""

    size_px: tuple[Side, Side]

    @field_validator("size_px", mode="before")
    @classmethod
    def _square(cls, value: object) -> object:
        return (value, value) if isinstance(value, int) else value


class Resize:
    """Scale to a size, by straight lines between pixels; what gets smaller is averaged."""

    Options = SizeOptions
    kinds = KINDS

    @staticmethod
    def shape(options: SizeOptions, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with the new size."""
        return (*shape[:-2], *options.size_px)

    @staticmethod
    def apply(options: SizeOptions, samples: Samples) -> Samples:
        """Resize."""
        import torch

        planes = torch.from_numpy(np.ascontiguousarray(samples)).reshape(-1, 1, *samples.shape[-2:])
        made = torch.nn.functional.interpolate(
            planes, size=options.size_px, mode="bilinear", antialias=True
        )
        found: Samples = made.numpy().reshape(*samples.shape[:-2], *options.size_px)
        return found

    @staticmethod
    def masks(options: SizeOptions, samples: Samples, masks: Masks) -> Masks:
        """Take the nearest pixel: structures have no values between them."""
        rows, columns = (
            (np.arange(new) + 0.5) * old // new
            for new, old in zip(options.size_px, masks.shape[-2:], strict=True)
        )
        return masks[..., rows.astype(int)[:, None], columns.astype(int)]


class Crop:
    """Keep the middle."""

    Options = SizeOptions
    kinds = KINDS

    @staticmethod
    def shape(options: SizeOptions, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with the new size.

        Raises:
            ValueError: it is larger than the image.
        """
        if options.size_px[0] > shape[-2] or options.size_px[1] > shape[-1]:
            raise ValueError(f"size_px is larger than the image, {shape[-2]} by {shape[-1]} pixels")
        return (*shape[:-2], *options.size_px)

    @staticmethod
    def apply(options: SizeOptions, samples: Samples) -> Samples:
        """Crop."""
        rows, columns = options.size_px
        top, left = (samples.shape[-2] - rows) // 2, (samples.shape[-1] - columns) // 2
        return samples[..., top : top + rows, left : left + columns]

    @staticmethod
    def masks(options: SizeOptions, samples: Samples, masks: Masks) -> Masks:
        """Crop."""
        return Crop.apply(options, masks)


class FlipOptions(Options):
    """Exchange left and right, or top and bottom."""

    axis: Literal["left-right", "top-bottom"] = "left-right"


class Flip:
    """Mirror every image."""

    Options = FlipOptions
    kinds = KINDS

    @staticmethod
    def shape(options: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return shape

    @staticmethod
    def apply(options: FlipOptions, samples: Samples) -> Samples:
        """Mirror."""
        return np.flip(samples, -1 if options.axis == "left-right" else -2)

    @staticmethod
    def masks(options: FlipOptions, samples: Samples, masks: Masks) -> Masks:
        """Mirror."""
        return Flip.apply(options, masks)


class SameSideOptions(Options):
    """The side on which the brighter half shall lie."""

    side: Literal["left", "right"] = "left"


class SameSide:
    """Mirror the images whose brighter half lies on the other side: left and right breasts then look alike."""

    Options = SameSideOptions
    kinds = KINDS

    @staticmethod
    def shape(options: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return shape

    @staticmethod
    def apply(options: SameSideOptions, samples: Samples) -> Samples:
        """Mirror those of the other side, each decided by its own pixels."""
        return SameSide.masks(options, samples, samples)

    @staticmethod
    def masks(options: SameSideOptions, samples: Samples, masks: Masks) -> Masks:
        """Mirror the masks of those samples."""
        half = samples.shape[-1] // 2
        axes = tuple(range(1, samples.ndim))
        left = samples[..., :half].sum(axis=axes, dtype=np.float64)
        right = samples[..., samples.shape[-1] - half :].sum(axis=axes, dtype=np.float64)
        wrong = right > left if options.side == "left" else left > right
        made = masks.copy()
        made[wrong] = masks[wrong][..., ::-1]
        return made
