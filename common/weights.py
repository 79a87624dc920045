"""Packs a state dict to one flat float32 vector with a declared layout, and back.

One contiguous array is what travels: Flower moves every array as an object of its own, so that the same 4 MB take
ten times longer in 320 arrays than in one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from common.errors import PolicyError

Vector = npt.NDArray[np.float32]
Halves = npt.NDArray[np.uint16]
"""bfloat16 values as bit patterns: NumPy has no such type."""


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the tensors in a packed vector, in order.

    Attributes:
        entries: `(name, shape)` pairs; every value is a float32.
    """

    entries: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, state: Mapping[str, torch.Tensor]) -> Layout:
        """Return the layout of a state dict.

        Raises:
            PolicyError: a tensor is not of a floating type (a counter, say), so that it has no average.
        """
        for name, value in state.items():
            if not value.is_floating_point():
                raise PolicyError(
                    f"Tensor '{name}' has type {value.dtype}, which cannot be averaged."
                )
        return cls(tuple((name, tuple(value.shape)) for name, value in state.items()))

    @property
    def size(self) -> int:
        """Number of values."""
        return sum(math.prod(shape) for _, shape in self.entries)

    @property
    def digest(self) -> str:
        """The sha256 of the layout, in hex."""
        return hashlib.sha256(json.dumps(self.entries).encode()).hexdigest()


def exchanged(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return the part of a network's state dict that is trained and exchanged: all but frozen parameters."""
    frozen = {name for name, value in network.named_parameters() if not value.requires_grad}
    return {name: value for name, value in network.state_dict().items() if name not in frozen}


def frozen(network: nn.Module) -> int:
    """Return how many of a network's weights are never trained, and so never exchanged."""
    return sum(value.numel() for value in network.parameters() if not value.requires_grad)


def pack(state: Mapping[str, torch.Tensor]) -> Vector:
    """Return the tensors of a state dict, flattened and joined, as float32 on the CPU."""
    parts = [value.detach().reshape(-1).to("cpu", torch.float32) for value in state.values()]
    return torch.cat(parts).numpy() if parts else np.zeros(0, np.float32)


def unpack(vector: Vector, layout: Layout) -> dict[str, torch.Tensor]:
    """Return the named tensors of a packed vector; they own their memory.

    Raises:
        PolicyError: the vector's length is not the layout's.
    """
    if vector.ndim != 1 or vector.size != layout.size:
        raise PolicyError(
            f"Packed weights have {vector.size} values where the study's model has {layout.size}."
        )
    state, start = {}, 0
    for name, shape in layout.entries:
        stop = start + math.prod(shape)
        state[name] = torch.tensor(vector[start:stop], dtype=torch.float32).reshape(shape)
        start = stop
    return state


def digest(vector: Vector) -> str:
    """Return the sha256 of the vector's bytes, in hex."""
    return hashlib.sha256(np.ascontiguousarray(vector, dtype="<f4").tobytes()).hexdigest()


def to_bfloat16(vector: Vector) -> Halves:
    """Return the upper halves of the float32 values, rounded to the nearest, ties to even; NaN stays NaN."""
    bits = np.ascontiguousarray(vector, dtype=np.float32).view(np.uint32)
    halves = (bits >> 16) & 1
    halves += 0x7FFF
    halves += bits  # wraps around for some NaNs only, which are put right below
    halves >>= 16
    short = halves.astype(np.uint16)
    unknown = np.isnan(vector)
    if unknown.any():
        short[unknown] = 0x7FC0
    return short


def from_bfloat16(halves: Halves) -> Vector:
    """Return the float32 values whose upper halves are given."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def rounded(vector: Vector, wire: str) -> Vector:
    """Return what arrives of a vector that travels as `wire` ("float32" or "bfloat16"): float32 in memory."""
    return vector if wire == "float32" else from_bfloat16(to_bfloat16(vector))
