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
    return _made(inputs, None, spec)[0]


def targets_after_steps(
    inputs: NDArray[np.float32], targets: NDArray[Any], spec: DataSpec
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Return samples [N, ...] as the model sees them, and their targets: masks [N, ..., rows, columns] move along.

    Args:
        inputs: as they were read; left as they are.
        targets: [N, ...]; left as they are.
        spec: the study's `[data]`.
    """
    made, moved = _made(inputs, targets if spec.target_kind == "mask" else None, spec)
    return made, targets if moved is None else moved


def _made(
    inputs: NDArray[np.float32], masks: NDArray[Any] | None, spec: DataSpec
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """Return samples and masks after the steps; of new cases there are no masks."""
    if not spec.steps:
        return inputs, masks
    made = np.empty((len(inputs), *spec.model_shape), dtype=np.float32)
    moved = None if masks is None else np.empty(_mask_shape(masks, spec), masks.dtype)
    largest = max(1, inputs[:1].nbytes, made[:1].nbytes)
    rows = max(1, CHUNK_BYTES // largest)
    for start in range(0, len(inputs), rows):
        part = slice(start, start + rows)
        own = None if masks is None else masks[part]
        made[part], found = _through(np.array(inputs[part]), own, spec)
        if moved is not None:
            moved[part] = found
    return made, moved


def _mask_shape(masks: NDArray[Any], spec: DataSpec) -> tuple[int, ...]:
    return (*masks.shape[:-2], *spec.model_shape[-2:])


def _through(
    samples: NDArray[np.float32], masks: NDArray[Any] | None, spec: DataSpec
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    for kind, options in (step.kind() for step in spec.steps):
        if masks is not None and hasattr(kind, "masks"):
            masks = kind.masks(options, samples, masks)
        samples = kind.apply(options, samples)
    return samples, masks
