"""The sample that a case is compared with: what a network sees where nothing is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data.config_base import TextFormat
from client.data.features import Columns, encode
from client.data.records.grid import Steps
from client.data.steps.apply import after_steps
from common.data_spec import DataSpec, FusedSpec, OrdinarySpec, RecordSpec, TableSpec

Floats = NDArray[np.float32]
EMPTY = -1.0
"""The darkest value of an image."""

WORDS = {
    "table": "a row without any value: each input at the study's public fill",
    "records": "a record without any reading: each input at the study's public fill",
    "series": "a series that stayed at its own mean",
    "signals": "channels that stayed at their own mean",
}
"""What cases are compared with, by kind of data."""
IMAGE = "an empty image, all at the darkest value"
MOLECULE = "no molecule: inputs of 0"


def words(spec: DataSpec) -> str:
    """Return in words what cases are compared with."""
    if isinstance(spec, FusedSpec):
        parts = "; ".join(f"{name}: {words(part)}" for name, part in sorted(spec.parts.items()))
        return f"themselves, with one part in the place of which stands what says nothing: {parts}"
    if spec.kind == "molecules":
        return MOLECULE
    return WORDS.get(spec.kind, IMAGE if len(spec.model_shape) > 2 else "inputs of 0")


def baselines(raw: Floats, spec: DataSpec) -> Floats:
    """Return what each sample is compared with, `[N, *model shape]`.

    Args:
        raw: samples as they were read, `[N, *input shape]`.
        spec: the study's `[data]`.
    """
    return after_steps(_raw(raw, spec), spec)


def of_part(seen: Floats, spec: OrdinarySpec) -> Floats:
    """Return what a part of fused samples is compared with, `[N, *model shape]`.

    Args:
        seen: the part as its network sees it, after its steps: how it was read is no longer known.
        spec: of the part.
    """
    if spec.kind in ("series", "signals"):
        if seen.ndim == 3:
            return np.broadcast_to(seen.mean(axis=1, keepdims=True), seen.shape)
        return after_steps(np.zeros((len(seen), *spec.input_shape), np.float32), spec)
    if not spec.steps:
        return _raw(seen, spec)
    unread = np.zeros((len(seen), *spec.input_shape), np.float32)
    return after_steps(np.array(_raw(unread, spec)), spec)


def _raw(raw: Floats, spec: DataSpec) -> Floats:
    if spec.kind == "table":
        return np.broadcast_to(_blank_row(spec), raw.shape)
    if spec.kind == "records":
        return np.broadcast_to(_blank_record(spec), raw.shape)
    if spec.kind in ("series", "signals"):
        return np.broadcast_to(raw.mean(axis=1, keepdims=True), raw.shape)
    return np.full_like(raw, EMPTY if raw.ndim > 3 else 0.0)


def _blank_row(spec: TableSpec | RecordSpec) -> Floats:
    """Return the inputs of a row without any value, `[1, F]`."""
    absent = {feature.name for feature in spec.features}
    columns = Columns(TextFormat(), "[data]", absent)
    return encode(pd.DataFrame(index=[0]), columns, spec.features)[0]


def _blank_record(spec: RecordSpec) -> Floats:
    """Return the inputs of a record without any reading, `[1, T, F]`."""
    if spec.visits is not None:  # what a record with too few visits is filled up with
        blank = np.zeros((1, *spec.input_shape), np.float32)
        blank[..., -2:] = -1.0
        return blank
    parts = [Steps(variable, 1, spec).inputs() for variable in spec.variables]
    parts.append(np.repeat(_blank_row(spec)[:, None], spec.window_steps, axis=1))
    return np.concatenate(parts, axis=2)
