"""The egress guard: the last look at what is about to leave a site."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.errors import PolicyError
from common.tasks.base import Floats
from common.weights import Layout, Vector, pack, unpack

__all__ = ["Declared", "Parcel", "inspect", "pack", "unpack"]

LARGEST = 1e6
"""No weight of a sound model is larger; a larger one is a fault or a channel."""

LARGEST_STATISTIC = 2.0**53
"""No count or sum is larger: above it a float64 cannot even count."""

WIDTH = {"float32": 4, "bfloat16": 2}
"""Bytes of a weight, by its type on the wire."""


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
    def digest(self) -> str:
        """The sha256 of the content, in hex."""
        content = hashlib.sha256()
        for name, part in (("weights", self.weights), ("tally", self.tally)):
            content.update(name.encode())
            content.update(b"-" if part is None else np.ascontiguousarray(part).data)
        return content.hexdigest()


@dataclass(frozen=True)
class Declared:
    """What a study declares about its replies, and what the site's policy adds: nothing else leaves.

    Attributes:
        layout: of the packed weights.
        statistics: the allow-list, names and shapes in order; empty where the policy keeps all of them.
        wire: type of the weights on the wire.
        max_bytes: a larger reply does not leave; None: any that is declared.
    """

    layout: Layout
    statistics: Mapping[str, tuple[int, ...]]
    wire: str = "float32"
    max_bytes: int | None = None

    @property
    def values(self) -> int:
        """How many numbers the statistics are."""
        return sum(math.prod(shape) for shape in self.statistics.values())

    def parts(self, parcel: Parcel) -> dict[str, int]:
        """Bytes of a parcel as they travel, by part."""
        parts = {}
        if parcel.weights is not None:
            parts["weights"] = parcel.weights.size * WIDTH[self.wire]
        if parcel.tally is not None:
            parts["statistics"] = parcel.tally.nbytes
        return parts

    def check_size(self, *, weights: bool, statistics: bool) -> None:
        """Refuse, before anything is spent, a reply that would be too large for the policy.

        Raises:
            PolicyError: it would be.
        """
        size = self.layout.size * WIDTH[self.wire] * weights + 8 * self.values * statistics
        self._check_bytes(size)

    def check_parcel(self, parcel: Parcel) -> None:
        """Refuse a reply that is too large for the policy.

        Raises:
            PolicyError: it is.
        """
        self._check_bytes(sum(self.parts(parcel).values()))

    def _check_bytes(self, size: int) -> None:
        if self.max_bytes is not None and size > self.max_bytes:
            raise PolicyError(
                f"A reply of {size:,} bytes is more than the {self.max_bytes:,} that the site's policy lets out.",
                where="[policy] max_bytes_per_round",
                fix="Raise it, or take part in a study with a smaller model.",
            )


def inspect(parcel: Parcel, declared: Declared, *, weights: bool, statistics: bool) -> None:
    """Check a parcel against what was declared and asked.

    Args:
        parcel: about to leave.
        declared: by the study and the policy.
        weights, statistics: whether the request asked for them, and was charged for them.

    Raises:
        PolicyError: a part, a size, a type or a value is not what was declared. Nothing leaves then.
    """
    _check_presence("weights", parcel.weights is not None, weights)
    _check_presence("statistics", parcel.tally is not None, statistics and declared.values > 0)
    if parcel.weights is not None:
        _check("weights", parcel.weights, np.dtype(np.float32), declared.layout.size)
        if np.abs(parcel.weights).max(initial=0.0) > LARGEST:
            raise PolicyError(
                f"The trained weights exceed {LARGEST:g}: training diverged, and nothing was sent.",
                where="[training] learning_rate",
                fix="Lower the learning rate.",
            )
    if parcel.tally is not None:
        _check("statistics", parcel.tally, np.dtype(np.float64), declared.values)
        if np.abs(parcel.tally).max(initial=0.0) > LARGEST_STATISTIC:
            raise PolicyError(
                "The statistics about to leave hold a value that no count or sum can have; nothing was sent."
            )
    declared.check_parcel(parcel)


def _check_presence(name: str, there: bool, wanted: bool) -> None:
    if there != wanted:
        said = "are about to leave, though nothing asked for them" if there else "are missing"
        raise PolicyError(f"The {name} {said}; nothing was sent.")


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
