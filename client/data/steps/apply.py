"""Applies a study's steps to prepared samples, some at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.data_spec import DataSpec

CHUNK_BYTES = 64 << 20
"""Of samples treated at once, so that what a step needs beside them stays small."""


def after_steps(inputs: NDArray[np.float32], spec: DataSpec) -> NDArray[np.float32]:
    """Return samples [N, ...] as the model sees them.

    Args:
        inputs: as they were read; left as they are.
        spec: the study's `[data]`.
    """
    return targets_after_steps(inputs, np.empty(len(inputs)), spec)[0]


def targets_after_steps(
    inputs: NDArray[np.float32], targets: NDArray[Any], spec: DataSpec
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return samples [N, ...] as the model sees them, and their targets: masks [N, ..., rows, columns] move along.

    Args:
        inputs: as they were read; left as they are.
        targets: [N, ...]; left as they are.
        spec: the study's `[data]`.
    """
    if not spec.steps:
        return inputs, targets
    made = np.empty((len(inputs), *spec.model_shape), dtype=np.float32)
    masks = spec.target_kind == "mask"
    moved = np.empty(_mask_shape(targets, spec), targets.dtype) if masks else targets
    largest = max(1, inputs[:1].nbytes, made[:1].nbytes)
    rows = max(1, CHUNK_BYTES // largest)
    for start in range(0, len(inputs), rows):
        part = slice(start, start + rows)
        made[part], found = _through(np.array(inputs[part]), targets[part], spec)
        if masks:
            moved[part] = found
    return made, moved


def _mask_shape(masks: NDArray[Any], spec: DataSpec) -> tuple[int, ...]:
    return (*masks.shape[:-2], *spec.model_shape[-2:])


def _through(
    samples: NDArray[np.float32], targets: NDArray[Any], spec: DataSpec
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    for kind, options in (step.kind() for step in spec.steps):
        if spec.target_kind == "mask" and hasattr(kind, "masks"):
            targets = kind.masks(options, samples, targets)
        samples = kind.apply(options, samples)
    return samples, targets
