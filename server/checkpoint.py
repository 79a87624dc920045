"""A checkpoint after every round: the global weights and all that the server's strategy remembers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from common.errors import RunError
from common.files import write_atomically
from common.weights import Layout, Vector, pack, unpack

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a round.

    Attributes:
        round: rounds that are done.
        weights: the packed global weights.
        strategy: the strategy's arrays.
    """

    round: int
    weights: Vector
    strategy: Arrays


def save(folder: Path, point: Checkpoint, layout: Layout, fingerprint: str) -> None:
    """Write a checkpoint; its JSON file comes last and makes it valid."""
    stem = folder / f"round-{point.round:04d}"
    weights = save_model_bytes(point.weights, layout)
    write_atomically(stem.with_suffix(".safetensors"), weights, durable=True, mode=0o644)
    if point.strategy:
        state = save_arrays({name: np.ascontiguousarray(a) for name, a in point.strategy.items()})
        write_atomically(stem.with_suffix(".strategy"), state, durable=True, mode=0o644)
    about = {"round": point.round, "fingerprint": fingerprint, "strategy": sorted(point.strategy)}
    write_atomically(stem.with_suffix(".json"), json.dumps(about), durable=True, mode=0o644)


def latest(folder: Path, layout: Layout, fingerprint: str) -> Checkpoint | None:
    """Return the newest valid checkpoint, or None.

    Raises:
        RunError: it belongs to another study, or its files are damaged.
    """
    found = sorted(folder.glob("round-*.json"), key=lambda path: (len(path.name), path.name))
    if not found:
        return None
    try:
        about = json.loads(found[-1].read_text(encoding="utf-8"))
        round_, owner = int(about["round"]), str(about["fingerprint"])
        weights = load_model(found[-1].with_suffix(".safetensors"), layout)
        has_state = bool(about["strategy"])
        state = load_arrays(found[-1].with_suffix(".strategy").read_bytes()) if has_state else {}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        raise RunError(
            "The newest checkpoint cannot be read.",
            where=str(found[-1]),
            fix="Remove the files of that round; --resume then goes on from the one before.",
        ) from None
    if owner != fingerprint:
        raise RunError("The checkpoint belongs to another study.", where=str(found[-1]))
    return Checkpoint(round_, weights, state)


def save_model_bytes(weights: Vector, layout: Layout) -> bytes:
    """Return weights as a safetensors file with the network's own names."""
    tensors = {name: tensor.contiguous() for name, tensor in unpack(weights, layout).items()}
    content: bytes = save_tensors(tensors)
    return content


def load_model(path: Path, layout: Layout) -> Vector:
    """Return the packed weights of a safetensors file.

    Raises:
        KeyError: a tensor of the layout is missing.
        ValueError: a tensor has another shape.
    """
    tensors: dict[str, torch.Tensor] = load_tensors(path.read_bytes())
    if any(tuple(tensors[name].shape) != shape for name, shape in layout.entries):
        raise ValueError("a tensor has another shape than the study's")
    return pack({name: tensors[name] for name, _ in layout.entries})
