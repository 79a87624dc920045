"""Steps on signals over time, samples [N, T, channels]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from common.plugins import Options

Samples = NDArray[np.float32]


class SmoothOptions(Options):
    """How many steps of time are averaged: one and those before it."""

    steps: int = Field(default=3, ge=2, le=1000)


class Smooth:
    """Average every step with those before it in the window.

    The last step stays as it was measured: a forecast starts from it.
    """

    Options = SmoothOptions
    kinds = frozenset({"series", "signals"})

    @staticmethod
    def shape(options: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the same shape."""
        return shape

    @staticmethod
    def apply(options: SmoothOptions, samples: Samples) -> Samples:
        """Smooth; at the start of the window fewer steps are averaged."""
        length = samples.shape[1]
        sums = np.cumsum(samples, axis=1, dtype=np.float64)
        behind = np.zeros_like(sums)
        behind[:, options.steps :] = sums[:, : max(0, length - options.steps)]
        counts = np.minimum(np.arange(length) + 1, options.steps)[:, None]
        made: Samples = ((sums - behind) / counts).astype(np.float32)
        made[:, -1] = samples[:, -1]
        return made


class DifferenceOptions(Options):
    """Over how many steps of time the change is taken, and by how much it is multiplied."""

    lag: int = Field(default=1, ge=1, le=1000)
    scale: float = Field(default=1.0, ge=1e-3, le=1e3)


class Differences:
    """Add, behind the channels, their changes; 0 where the window does not reach back so far."""

    Options = DifferenceOptions
    kinds = frozenset({"series", "signals", "records"})

    @staticmethod
    def shape(options: DifferenceOptions, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape with twice the channels.

        Raises:
            ValueError: the window is too short.
        """
        if options.lag >= shape[0]:
            raise ValueError(f"lag must be less than the window's {shape[0]} steps")
        return (shape[0], 2 * shape[1])

    @staticmethod
    def apply(options: DifferenceOptions, samples: Samples) -> Samples:
        """Add the changes."""
        changes = np.zeros_like(samples)
        later, earlier = samples[:, options.lag :], samples[:, : -options.lag]
        changes[:, options.lag :] = (later - earlier) * np.float32(options.scale)
        return np.concatenate([samples, changes], axis=2)
