"""Which image a sample is: a patient may have several."""

from __future__ import annotations

from collections.abc import Sequence

from client.data.dicom.cut import Cut
from client.data.dicom.slices import Slice


def numbered(cuts: Sequence[Cut], owners: Sequence[int]) -> dict[str, list[int]]:
    """Return what tells the images of a patient apart, and names nobody: columns with one value a sample.

    `series` counts the patient's series from 1; `instance` is the InstanceNumber of the sample's middle image.

    Args:
        cuts: the samples.
        owners: the patient of each, as a number.
    """
    known: dict[int, dict[str, int]] = {}
    series = []
    for cut, owner in zip(cuts, owners, strict=True):
        mine = known.setdefault(owner, {})
        series.append(mine.setdefault(cut.first.series, len(mine) + 1))
    return {"series": series, "instance": [middle(cut).instance for cut in cuts]}


def files(cuts: Sequence[Cut]) -> list[str]:
    """Return the file of every sample's middle image; its name may identify."""
    return [middle(cut).file.name for cut in cuts]


def middle(cut: Cut) -> Slice:
    """Return the image in the middle of a sample: the slice itself, or the nearest to the middle of several."""
    half = len(cut.layers) // 2
    shown = [number for number, layer in enumerate(cut.layers) if layer.parts]
    nearest = cut.layers[min(shown, key=lambda number: abs(number - half))]
    return max(nearest.parts, key=lambda part: part.weight).slice
