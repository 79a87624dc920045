"""The egress guard: the last look at what is about to leave a site."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from common.errors import PolicyError
from common.tasks.base import Floats
from common.weights import Layout, Vector, pack, unpack

__all__ = ["Parcel", "inspect", "pack", "unpack"]

LARGEST = 1e6
"""No weight of a sound model is larger; a larger one is a fault or a channel."""


@dataclass(frozen=True)
class Parcel:
    """All that leaves a site in one reply.

    Attributes:
        weights: packed weights, or None when only statistics were asked.
        tally: flat statistics, or None when none were asked or the policy keeps them.
    """

    weights: Vector | None
    tally: Floats | None

    @property
    def size(self) -> int:
        """Bytes of patient-dependent content."""
        return sum(part.nbytes for part in (self.weights, self.tally) if part is not None)

    @property
    def digest(self) -> str:
        """The sha256 of the content, in hex."""
        content = hashlib.sha256()
        for name, part in (("weights", self.weights), ("tally", self.tally)):
            content.update(name.encode())
            content.update(b"-" if part is None else np.ascontiguousarray(part).tobytes())
        return content.hexdigest()


def inspect(parcel: Parcel, layout: Layout, tally_size: int) -> None:
    """Check a parcel against what the study declares.

    Raises:
        PolicyError: a size, a type or a value is not what the study declares. Nothing leaves then.
    """
    if parcel.weights is not None:
        _check("weights", parcel.weights, np.dtype(np.float32), layout.size)
        if np.abs(parcel.weights).max(initial=0.0) > LARGEST:
            raise PolicyError(
                f"The trained weights exceed {LARGEST:g}: training diverged, and nothing was sent.",
                where="[training] learning_rate",
                fix="Lower the learning rate.",
            )
    if parcel.tally is not None:
        _check("statistics", parcel.tally, np.dtype(np.float64), tally_size)


def _check(
    name: str,
    values: np.ndarray[tuple[int, ...], np.dtype[np.floating]],
    kind: np.dtype[np.floating],
    size: int,
) -> None:
    if values.dtype != kind or values.shape != (size,):
        raise PolicyError(
            f"The {name} about to leave are {values.dtype} of shape {values.shape}; "
            f"the study declares {kind} of ({size},)."
        )
    if not np.isfinite(values).all():
        raise PolicyError(
            f"The {name} about to leave hold values that are not finite: training diverged, and nothing was sent.",
            where="[training] learning_rate",
            fix="Lower the learning rate.",
        )
