"""Steps on single values: clip, window and level, normalise, gamma. Values are the study's, -1 to 1 at first."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from common.plugins import Options

Samples = NDArray[np.float32]
KINDS = frozenset({"dicom", "arrays", "signals"})
"""Not series, whose targets are in the same scale as their inputs; features of tables have ranges of their own."""
Value = Annotated[float, Field(ge=-1e6, le=1e6)]
Positive = Annotated[float, Field(ge=1e-6, le=1e6)]
MOST_CHANNELS = 4096


class _OnValues:
    """What leaves the shape as it is."""

    kinds = KINDS

    @staticmethod
    def shape(options: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return shape


class ClipOptions(Options):
    """Ends of the range; what is beyond becomes the end."""

    minimum: Value = -1.0
    maximum: Value = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> ClipOptions:
        if self.minimum >= self.maximum:
            raise ValueError("minimum must be less than maximum")
        return self


class Clip(_OnValues):
    """Cut values off at both ends."""

    Options = ClipOptions

    @staticmethod
    def apply(options: ClipOptions, samples: Samples) -> Samples:
        """Clip."""
        return np.clip(samples, np.float32(options.minimum), np.float32(options.maximum))


class WindowOptions(Options):
    """Middle and width of the values that are spread over -1 to 1; beyond them is clipped."""

    level: Value = 0.0
    width: Positive = 2.0


class Window(_OnValues):
    """Window and level, within the study's own intensity window."""

    Options = WindowOptions

    @staticmethod
    def apply(options: WindowOptions, samples: Samples) -> Samples:
        """Spread the window over -1 to 1."""
        scaled = (samples - np.float32(options.level)) * np.float32(2.0 / options.width)
        clipped: Samples = np.clip(scaled, np.float32(-1), np.float32(1))
        return clipped


class NormaliseOptions(Options):
    """Public constants, never a cohort's own: one number for all channels, or one for each."""

    mean: Value | Annotated[tuple[Value, ...], Field(min_length=1, max_length=MOST_CHANNELS)] = 0.0
    deviation: (
        Positive | Annotated[tuple[Positive, ...], Field(min_length=1, max_length=MOST_CHANNELS)]
    ) = 1.0


class Normalise(_OnValues):
    """Subtract a mean and divide by a deviation, such as those of the images that a model was pretrained on."""

    Options = NormaliseOptions

    @staticmethod
    def shape(options: NormaliseOptions, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Refuse another number of constants than there are channels."""
        channels = _channels(shape)
        for name in ("mean", "deviation"):
            found = getattr(options, name)
            if isinstance(found, tuple) and len(found) != channels:
                raise ValueError(
                    f"{name} has {len(found)} numbers, a sample has {channels} channels"
                )
        return shape

    @staticmethod
    def apply(options: NormaliseOptions, samples: Samples) -> Samples:
        """Normalise."""
        mean = _shaped(options.mean, samples.ndim)
        return (samples - mean) / _shaped(options.deviation, samples.ndim)


class GammaOptions(Options):
    """Below 1 brightens the dark, above 1 darkens it."""

    gamma: float = Field(default=1.0, ge=0.05, le=20.0)


class Gamma(_OnValues):
    """Bend the grey scale: from -1 (0 %) to 1 (100 %), by a power."""

    Options = GammaOptions

    @staticmethod
    def apply(options: GammaOptions, samples: Samples) -> Samples:
        """Bend."""
        share = (np.clip(samples, np.float32(-1), np.float32(1)) + np.float32(1)) / np.float32(2)
        return share ** np.float32(options.gamma) * np.float32(2) - np.float32(1)


def _channels(shape: tuple[int, ...]) -> int:
    """Images have channels first, signals last."""
    return shape[-1] if len(shape) == 2 else shape[0]


def _shaped(constants: float | tuple[float, ...], rank: int) -> NDArray[np.float32]:
    """Return constants as they combine with samples of so many axes."""
    numbers = np.array(constants, dtype=np.float32)
    return numbers if numbers.ndim == 0 or rank == 3 else numbers.reshape(-1, *[1] * (rank - 2))
