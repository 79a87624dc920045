"""Arrays: images in an .npz file, with its own split (MedMNIST) or cut into sites by `part`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.array_targets import read_targets, target_key
from client.data.config import ArrayDataset
from client.data.parts import in_part
from client.data.samples import RawSamples
from client.data.split import declared_splits
from common import plugins
from common.data_spec import ArraySpec
from common.errors import DataError
from common.npy import ONE_AT_A_TIME

Archive = Mapping[str, NDArray[Any]]
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class _Block:
    """One set of arrays of the file, with the split that it declares."""

    images: NDArray[Any]
    targets: NDArray[Any]
    patients: list[str] = field(repr=False)
    split: str | None
    nameless: bool


class ArraySource:
    """Reads `kind = "arrays"`."""

    def load(
        self, dataset: ArrayDataset, spec: ArraySpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Read the file, keep this site's part and scale the images (see `Source.load`)."""
        blocks = _blocks(_open(dataset), dataset, target_key(dataset, spec))
        patients = [patient for block in blocks for patient in block.patients]
        splits = None
        if any(block.split for block in blocks):
            pairs = [(patient, b.split or "") for b in blocks for patient in b.patients]
            splits = declared_splits(pairs, where=str(dataset.path))
        images = [_shaped(block.images, spec, dataset) for block in blocks]
        targets = np.concatenate([read_targets(b.targets, spec, classes, dataset) for b in blocks])
        mine = np.flatnonzero(in_part(patients, targets, dataset, spec))
        return RawSamples(
            inputs=_scaled(np.concatenate(images)[mine], spec),
            targets=targets[mine],
            patients=[patients[row] for row in mine],
            splits=splits,
            nameless=any(block.nameless for block in blocks),
        )


def _open(dataset: ArrayDataset) -> Archive:
    where = str(dataset.path)
    if not dataset.path.is_file():
        raise DataError("There is no such file.", where=where, fix="Correct the path.")
    try:
        with (
            ONE_AT_A_TIME,
            dataset.path.open("rb") as stream,
            np.load(stream, allow_pickle=False) as archive,
        ):
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # a damaged archive raises many kinds, down to MemoryError
        pickled = "pickle" in str(error) or "Object arrays" in str(error)
        what = "The file holds Python objects." if pickled else "This is not an .npz file."
        fix = "Save plain number and text arrays." if pickled else "Write it with numpy.savez."
        raise DataError(what, where=where, fix=fix) from None


def _blocks(archive: Archive, dataset: ArrayDataset, key: str | None) -> list[_Block]:
    """Find images and targets, one block a split."""
    prefixes = [s for s in _SPLITS if f"{s}_{dataset.images}" in archive]
    if dataset.images in archive:
        prefixes = []
    if dataset.splits is not None and set(dataset.splits) - set(prefixes):
        raise DataError(
            f"The file does not have all of the splits {', '.join(dataset.splits)}.",
            where=str(dataset.path),
            fix=f"It has: {', '.join(prefixes) or 'none'}.",
        )
    chosen = [s for s in prefixes if dataset.splits is None or s in dataset.splits]
    if not prefixes:
        return [_block(archive, dataset, key, "", None)]
    declared = "test" in chosen and len(chosen) > 1
    return [_block(archive, dataset, key, f"{s}_", s if declared else None) for s in chosen]


def _block(
    archive: Archive, dataset: ArrayDataset, key: str | None, prefix: str, split: str | None
) -> _Block:
    images = _array(archive, f"{prefix}{dataset.images}", dataset)
    targets = np.zeros(len(images)) if key is None else _array(archive, f"{prefix}{key}", dataset)
    name = f"{prefix}{dataset.patients}"
    patients = [f"{prefix}{row}" for row in range(len(images))]
    if name in archive:
        patients = [str(value) for value in archive[name].reshape(-1).tolist()]
    if not len(images) == len(targets) == len(patients):
        raise DataError(
            f"There are {len(images)} images, {len(targets)} {key} and {len(patients)} patients.",
            where=str(dataset.path),
            fix=f"Give each image one entry in {key} and one patient.",
        )
    return _Block(images, targets, patients, split, nameless=name not in archive)


def _array(archive: Archive, name: str, dataset: ArrayDataset) -> NDArray[Any]:
    if name not in archive:
        raise DataError(
            f"There is no array '{name}'.",
            where=str(dataset.path),
            fix=f"{plugins.nearest(name, archive)}It has: {', '.join(sorted(archive)) or 'none'}.",
        )
    array = archive[name]
    if array.ndim == 0:
        raise DataError(f"The array '{name}' is a single value.", where=str(dataset.path))
    return array


def _shaped(images: NDArray[Any], spec: ArraySpec, dataset: ArrayDataset) -> NDArray[Any]:
    """Bring [N, H, W], [N, H, W, C] or [N, C, H, W] to [N, C, H, W] of the study's size."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim == 4 and images.shape[1] == 1 and spec.channels == 3:
        images = np.repeat(images, 3, axis=1)
    if images.shape[1:] != spec.input_shape or images.dtype.kind not in "buif":
        raise DataError(
            f"The images are {images.dtype} of shape {images.shape[1:]} "
            f"(channels, rows, columns); the study wants numbers of {spec.input_shape}.",
            where=str(dataset.path),
            fix="Set image_size and channels in the study, or convert the images.",
        )
    return images


def _scaled(images: NDArray[Any], spec: ArraySpec) -> NDArray[np.float32]:
    """Clip to the public range and map it to [-1, 1]; what is no number becomes 0."""
    clipped = np.clip(images.astype(np.float32), spec.value_min, spec.value_max)
    half = (spec.value_max - spec.value_min) / 2.0
    scaled: NDArray[np.float32] = np.nan_to_num((clipped - spec.value_min) / half - 1.0)
    return scaled
