"""Draws structures on whole DICOM images, patient by patient, series by series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from client.data.config import DicomDataset
from client.data.dicom.cut import Cut
from client.data.dicom.marks import read_marks
from client.data.dicom.parallel import Made, Recipe, read_samples
from client.data.dicom.selection import Selection
from client.data.dicom.slices import Slice
from client.data.dicom.stacks import depth_of, every_stack
from client.data.index.archive import Archive, archive
from client.data.quarantine import Quarantine, QuarantineLog
from client.data.steps.apply import after_steps
from client.use.inputs.dicom import Points, points_of, unlabelled
from client.use.onto_slices import Maps, Share, mask_of, shares
from common.data_spec import DataSpec, ImageSpec
from common.errors import StudyError
from common.sliding import slide
from common.trained import Trained

LARGEST = 1024
"""Pixels of a side, and slices, that are looked at in one piece; larger images are looked at in their middle."""


@dataclass(frozen=True)
class Drawn:
    """The masks of one stack of a series.

    Attributes:
        case: number of its patient.
        name: the patient's identifier.
        slices: in the order of their places.
        masks: [slices, rows, columns], numbers of structures; 0 is none.
    """

    case: int
    name: str = field(repr=False)
    slices: list[Slice] = field(repr=False)
    masks: NDArray[np.uint8] = field(repr=False)

    def millilitres(self, structure: int) -> float:
        """Return a structure's volume; NaN where the files do not say how large a pixel is, or of a single slice."""
        spacing = self.slices[0].spacing_mm
        gaps = np.diff([depth_of(found) for found in self.slices])
        if spacing is None or not len(gaps) or self.slices[0].geometry is None:
            return math.nan
        voxel = spacing[0] * spacing[1] * float(np.median(np.abs(gaps)))
        return float((self.masks == structure).sum()) * voxel / 1000.0


class Drawing:
    """Draws all series of a data set.

    Args:
        trained: the model.
        dataset: the images.
        device: where the network runs.

    Raises:
        StudyError: a step of the study moves pixels, so that masks cannot be put back.
    """

    def __init__(self, trained: Trained, dataset: DicomDataset, device: torch.device) -> None:
        spec = trained.study.data
        assert isinstance(spec, ImageSpec)
        require_in_place(spec)
        self._trained, self._dataset = trained, dataset
        self._network = trained.network.to(device)
        self._device = device
        self._spec = unlabelled(spec)
        self._log = QuarantineLog()
        self._cut_off = 0

    def series(self) -> Iterator[Drawn]:
        """Yield series after series.

        Raises:
            DataError: there are no such files.
        """
        points = points_of(self._dataset, self._spec, self._log)
        with archive(self._dataset.path, self._spec.modality) as held:
            held.refuse(self._log)
            for number, patient in enumerate(list(held.patients())):
                yield from self._of(held, number, patient, points)

    @property
    def quarantine(self) -> Quarantine:
        """What could not be used so far."""
        return self._log.result()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the masks so far; no names."""
        if not self._cut_off:
            return ()
        return (
            f"{self._cut_off} patients have images of more than {LARGEST} pixels of the study's size: nothing is drawn "
            "outside of their middle.",
        )

    def _of(self, held: Archive, number: int, patient: str, points: Points) -> Iterator[Drawn]:
        slices = held.slices(patient)
        spec = whole(self._spec, slices)
        self._cut_off += is_cut_off(spec, slices)
        marks = read_marks(self._dataset, spec, [patient], self._log)
        chosen = list(Selection(held, spec, [patient], points, marks).cuts(self._log))
        by_series: dict[str, list[Cut]] = {}
        for cut in chosen:
            by_series.setdefault(cut.first.series, []).append(cut)
        for cuts in by_series.values():
            drawn = self._drawn(cuts, spec)
            masks = {_key(found): mask for found, mask in drawn}
            for stack in every_stack([found for found, _ in drawn]):
                of_stack = np.stack([masks[_key(found)] for found in stack])
                yield Drawn(number, patient, stack, of_stack)

    def _drawn(self, cuts: list[Cut], spec: ImageSpec) -> list[tuple[Slice, NDArray[np.uint8]]]:
        """Return the slices that samples were cut from, with their masks."""
        made = read_samples(cuts, Recipe(spec), self._log)
        told: dict[tuple[str, int], tuple[Slice, list[Share]]] = {}
        for row, maps in enumerate(self._maps(made, spec)):
            for found, share in shares(cuts[int(made.kept[row])], maps, spec):
                told.setdefault(_key(found), (found, []))[1].append(share)
        return [(found, mask_of(found, shares, spec)) for found, shares in told.values()]

    def _maps(self, made: Made, spec: ImageSpec) -> Iterator[Maps]:
        """Yield every sample's chances of structures, from windows of the size that the network learned from."""
        window = self._trained.study.data.model_shape[1:]
        for row in range(len(made.inputs)):
            inputs = torch.from_numpy(np.array(after_steps(made.inputs[row : row + 1], spec)))
            maps = slide(self._network, inputs.to(self._device), window)
            yield maps[0].float().softmax(0).cpu().numpy()


def _key(found: Slice) -> tuple[str, int]:
    return found.file.name, found.frame


def require_in_place(spec: DataSpec) -> None:
    """Refuse steps that move pixels.

    Raises:
        StudyError: naming the step.
    """
    for step in spec.steps:
        if hasattr(step.kind()[0], "masks"):
            raise StudyError(
                f"Step '{step.name}' moves pixels: masks cannot be put back onto the images.",
                where="[data] steps",
                fix="Use image_size and spacing_mm, which can, in its place.",
            )


def whole(spec: ImageSpec, slices: list[Slice]) -> ImageSpec:
    """Return the study's data with samples so large that they hold the whole of a patient's images."""
    if spec.centre != "image" or not slices:
        return spec
    extents = [_extent(found, spec) for found in slices]
    rows, columns = (max(extent[axis] for extent in extents) for axis in (0, 1))
    if spec.plane != "any":  # images may be turned
        rows = columns = max(rows, columns)
    height, width = spec.image_size
    size = (max(height, min(rows, LARGEST)), max(width, min(columns, LARGEST)))
    changes: dict[str, object] = {"image_size": size, "slices": "all"}
    if spec.depth is not None:
        changes["depth"] = max(spec.depth, min(_layers(slices, spec), LARGEST))
    return spec.model_copy(update=changes)


def is_cut_off(spec: ImageSpec, slices: Sequence[Slice]) -> bool:
    """Tell whether an image is larger than the samples that should hold the whole of it."""
    sides = [zip(_extent(found, spec), spec.image_size, strict=True) for found in slices]
    return spec.centre == "image" and any(own > side for pairs in sides for own, side in pairs)


def _extent(found: Slice, spec: ImageSpec) -> tuple[int, int]:
    """Return the rows and columns of a sample that holds a whole slice."""
    if spec.spacing_mm is None or found.spacing_mm is None:
        return found.shape
    (rows, columns), (down, across) = found.shape, found.spacing_mm
    step = spec.spacing_mm
    return math.ceil(rows * down / step), math.ceil(columns * across / step)


def _layers(slices: list[Slice], spec: ImageSpec) -> int:
    """Return the layers of a volume that holds the longest series."""
    series: dict[str, list[float]] = {}
    for found in slices:
        series.setdefault(found.series, []).append(depth_of(found))
    if spec.slice_spacing_mm is None:
        return max(map(len, series.values()))
    longest = max(max(depths) - min(depths) for depths in series.values())
    return math.ceil(longest / spec.slice_spacing_mm) + 1
