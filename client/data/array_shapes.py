"""Brings images and volumes of an .npz file to the study's shape and range."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.config import ArrayDataset
from common.data_spec import ArraySpec
from common.errors import DataError

_COLOURS = (1, 3)
_LOOKED_AT = 256
"""Images, spread over all, from which the range of the values is told."""
_LAYERS = 8
"""Layers of each volume that are looked at."""
_LEAST_SPREAD = 0.02
"""Of the study's range: below it, images are all but grey."""


def shaped(images: NDArray[Any], spec: ArraySpec, dataset: ArrayDataset) -> NDArray[Any]:
    """Return images of the study's size, `[N, C, rows, columns]`, or volumes, `[N, C, depth, rows, columns]`.

    The study says which of the two they are: nothing is told from the numbers of axes or colours alone.

    Args:
        images: `[N, *grid]`, or with one or three channels, `[N, C, *grid]` or `[N, *grid, C]`.
        spec: the study's `[data]`.
        dataset: where they lie, for messages.

    Raises:
        DataError: they have another shape, or are no numbers.
    """
    grid, made = spec.grid, images
    if images.ndim == len(grid) + 1:
        made = images[:, None]
    elif images.shape[1:-1] == grid != images.shape[2:]:
        made = np.moveaxis(images, -1, 1)
    if made.shape[1:] == (1, *grid) and spec.channels == 3:
        made = np.repeat(made, 3, axis=1)
    if made.shape[1:] != spec.input_shape or images.dtype.kind not in "buif":
        axes = f"(channels, {'' if spec.depth is None else 'depth, '}rows, columns)"
        raise DataError(
            f"The {spec.things} are {images.dtype} of shape {made.shape[1:]}; "
            f"the study wants numbers of {spec.input_shape} {axes}.",
            where=f"{dataset.path}, '{dataset.images}'",
            fix=_fix(images.shape[1:], spec),
        )
    return made


def _fix(shape: tuple[int, ...], spec: ArraySpec) -> str:
    """Say what to do about samples of another shape."""
    first, last = (shape[end] in _COLOURS if shape else False for end in (0, -1))
    coloured = len(shape) == 3 and (first or last)
    if spec.depth is None and (len(shape) == 4 or (len(shape) == 3 and not coloured)):
        depth = shape[1] if len(shape) == 4 and first and not last else shape[0]
        return f"These look like volumes: set depth = {depth} in the study's [data], beside image_size."
    if spec.depth is not None and len(shape) == 2:
        return "These are images, not volumes: leave depth out of the study's [data]."
    keys = "image_size and channels" if spec.depth is None else "depth, image_size and channels"
    images = "Of images, leave depth out. " if spec.depth is not None and coloured else ""
    return f"{images}Set {keys} in the study, or convert the {spec.things}."


def scaled(images: NDArray[Any], spec: ArraySpec) -> NDArray[np.float32]:
    """Clip to the public range and map it to [-1, 1]; what is no number becomes 0."""
    made: NDArray[np.float32] = images.astype(np.float32)  # volumes are large: changed in place
    np.clip(made, spec.value_min, spec.value_max, out=made)
    made -= spec.value_min
    made /= (spec.value_max - spec.value_min) / 2.0
    made -= 1.0
    np.nan_to_num(made, copy=False)
    return made


def range_notes(images: NDArray[Any], spec: ArraySpec) -> tuple[str, ...]:
    """Say so where the study's range is not that of the images: most of their contrast is lost then.

    Args:
        images: as `shaped` returns them.
        spec: the study's `[data]`.
    """
    seen = images[:: max(1, len(images) // _LOOKED_AT)]
    if spec.depth is not None:
        seen = seen[:, :, :: max(1, spec.depth // _LAYERS)]
    values = seen.astype(np.float64)
    known = values[np.isfinite(values)]
    limits = f"value_min {spec.value_min:g} to value_max {spec.value_max:g}"
    if known.size and np.mean((known < spec.value_min) | (known > spec.value_max)) > 0.5:
        return (f"Most values of the {spec.things} are outside {limits}.",)
    if known.size and np.ptp(known) < _LEAST_SPREAD * (spec.value_max - spec.value_min):
        return (f"The {spec.things} fill less than {_LEAST_SPREAD:.0%} of {limits}.",)
    return ()
