"""Arrays: images or volumes in an .npz file, with its own split (MedMNIST) or cut into sites by `part`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.array_shapes import range_notes, scaled, shaped
from client.data.array_targets import has_label, read_targets, target_key
from client.data.config import ArrayDataset
from client.data.parts import in_part
from client.data.quarantine import QuarantineLog
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
        log = QuarantineLog()
        blocks = _blocks(_open(dataset), dataset, target_key(dataset, spec))
        if spec.labels == "class":
            blocks = [_labelled(block, log) for block in blocks]
        patients = [patient for block in blocks for patient in block.patients]
        splits = None
        if any(block.split for block in blocks):
            pairs = [(patient, b.split or "") for b in blocks for patient in b.patients]
            splits = declared_splits(pairs, where=str(dataset.path))
        images = [shaped(block.images, spec, dataset) for block in blocks]
        targets = np.concatenate([read_targets(b.targets, spec, classes, dataset) for b in blocks])
        mine = np.flatnonzero(in_part(patients, targets, dataset, spec))
        chosen = np.concatenate(images)[mine]
        return RawSamples(
            inputs=scaled(chosen, spec),
            targets=targets[mine],
            patients=[patients[row] for row in mine],
            splits=splits,
            quarantine=log.result(),
            notes=range_notes(chosen, spec),
            nameless=any(block.nameless for block in blocks),
        )


def _labelled(block: _Block, log: QuarantineLog) -> _Block:
    """Leave out images without a class."""
    known = has_label(block.targets)
    if known.all():
        return block
    for row in np.flatnonzero(~known).tolist():
        log.add(f"{block.split or ''} image {row + 1}".strip(), "image without a label")
    patients = [block.patients[row] for row in np.flatnonzero(known).tolist()]
    return replace(
        block, images=block.images[known], targets=block.targets[known], patients=patients
    )


def _open(dataset: ArrayDataset) -> Archive:
    where = str(dataset.path)
    if dataset.path.is_dir():
        fix = "Name the file; write pictures into one with numpy.savez: docs/site-file.md."
        raise DataError("This is a folder, not an .npz file.", where=where, fix=fix)
    if not dataset.path.is_file():
        raise DataError("There is no such file.", where=where, fix="Correct the path.")
    try:
        with ONE_AT_A_TIME, dataset.path.open("rb") as stream:
            found = np.load(stream, allow_pickle=False)
            if isinstance(found, np.ndarray):  # an .npy file: images alone, such as new cases
                return {dataset.images: found}
            with found as archive:
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
            fix=f"{plugins.nearest(name, archive)}It has: {', '.join(sorted(archive)) or 'none'}. "
            "Name yours with images, labels, masks, points or patients in site.toml.",
        )
    array = archive[name]
    if array.ndim == 0:
        raise DataError(f"The array '{name}' is a single value.", where=str(dataset.path))
    return array
