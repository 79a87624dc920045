"""Applies a study's steps to prepared samples, some at a time."""

from __future__ import annotations

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
    if not spec.steps:
        return inputs
    kinds = [step.kind() for step in spec.steps]
    made = np.empty((len(inputs), *spec.model_shape), dtype=np.float32)
    largest = max(1, inputs[:1].nbytes, made[:1].nbytes)
    rows = max(1, CHUNK_BYTES // largest)
    for start in range(0, len(inputs), rows):
        part = np.array(inputs[start : start + rows])
        for kind, options in kinds:
            part = kind.apply(options, part)
        made[start : start + rows] = part
    return made
