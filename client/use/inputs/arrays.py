"""Images of an .npz file; no labels are looked for."""

from __future__ import annotations

from dataclasses import replace

from client.data.arrays import ArraySource
from client.data.config import ArrayDataset
from client.data.samples import RawSamples
from client.use.cases import Cases, from_raw
from common.data_spec import ArraySpec


def read(dataset: ArrayDataset, spec: ArraySpec) -> Cases:
    """Read all images of the file; each is told by its number in it, from 1.

    Raises:
        DataError: the file is missing or holds other images.
    """
    cases = from_raw(samples(dataset, spec))
    return replace(cases, about={"image": list(range(1, len(cases.case) + 1))})


def samples(dataset: ArrayDataset, spec: ArraySpec) -> RawSamples:
    """Read all images of the file, with their patients.

    Raises:
        DataError: the file is missing or holds other images.
    """
    whole = dataset.model_copy(update={"part": None, "part_alpha": None})
    unlabelled = spec.model_copy(update={"labels": "none", "structures": ()})
    return ArraySource().load(whole, unlabelled, None)
