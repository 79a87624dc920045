"""The samples of a study, patient by patient: never more than one patient's slices are held."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from client.data.deidentify.burnt_in import Risk
from client.data.dicom.cut import Cut
from client.data.dicom.marks import Marks
from client.data.dicom.select import cuts
from client.data.dicom.slices import Slice, Vector
from client.data.index.archive import Archive
from client.data.masks.finding import Drawing, of_images
from client.data.quarantine import QuarantineLog
from common.data_spec import ImageSpec

NO_CENTRE = "patient without the structure in the masks"
NO_MASK = "patient without a mask"
NO_MASK_HERE = "series without a mask"
WHICH = (
    "patient with images in several frames of reference: the points do not say which they belong to"
)


class Selection:
    """Chooses the samples of each patient.

    Args:
        held: the index.
        spec: the study's data.
        patients: in order.
        points: points of interest by patient; those of the marks go before them.
        marks: segmentations by patient.

    Attributes:
        owners: number of the patient of every sample that was chosen so far.
        burnt_in: images that may show text, of these patients.
    """

    def __init__(
        self,
        held: Archive,
        spec: ImageSpec,
        patients: Sequence[str],
        points: Mapping[str, Sequence[Vector]],
        marks: Marks,
    ) -> None:
        self._held = held
        self._spec = spec
        self._patients = patients
        self._points = points
        self._marks = marks
        self.owners = array("q")
        self.burnt_in: Counter[Risk] = Counter()

    def cuts(self, log: QuarantineLog) -> Iterator[Cut]:
        """Yield the samples; what is left out is noted."""
        for number, patient in enumerate(self._patients):
            slices = self._held.slices(patient)
            self.burnt_in.update(Risk[found.burnt_in] for found in slices if found.burnt_in)
            for cut in self._of(patient, slices, log):
                self.owners.append(number)
                yield cut

    def _of(self, patient: str, slices: list[Slice], log: QuarantineLog) -> list[Cut]:
        if self._spec.labels == "points" and len({s.frame_of_reference for s in slices}) > 1:
            log.add(slices[0].file.name, WHICH)
            return []
        if not self._marks.needed:
            return cuts(slices, self._points.get(patient, ()), self._spec, log)
        frames: dict[str, list[Slice]] = {}
        for found in slices:
            frames.setdefault(found.frame_of_reference, []).append(found)
        drawn = of_images(self._marks.drawings.get(patient, ()), frames, log)
        lack = self._lack(drawn)
        if lack:
            log.add(slices[0].file.name, lack)
            return []
        chosen: list[Cut] = []
        for frame in sorted(frames):
            here = [each for each in drawn if each.is_of(frame)]
            chosen += self._marked(patient, frames[frame], here, log)
        return chosen

    def _lack(self, drawn: Sequence[Drawing]) -> str:
        """Return what a patient's drawings lack, "" if nothing."""
        if self._marks.structures and not self._masks(drawn):
            return NO_MASK
        return NO_CENTRE if self._marks.centre is not None and not self._centres(drawn) else ""

    def _marked(
        self, patient: str, slices: list[Slice], drawn: Sequence[Drawing], log: QuarantineLog
    ) -> list[Cut]:
        """Return the samples of images with one frame of reference, given what is drawn on them."""
        masks = self._masks(drawn)
        if self._marks.structures and not masks:
            log.add(slices[0].file.name, NO_MASK_HERE)
            return []
        points: Sequence[Vector] = self._points.get(patient, ())
        if self._marks.centre is not None:
            points = self._centres(drawn)
        files = tuple(dict.fromkeys(each.file for each in masks))
        return [replace(cut, masks=files) for cut in cuts(slices, points, self._spec, log)]

    def _masks(self, drawn: Sequence[Drawing]) -> list[Drawing]:
        return [each for each in drawn if any(map(each.shows, self._marks.structures))]

    def _centres(self, drawn: Sequence[Drawing]) -> list[Vector]:
        name = self._marks.centre or ""
        return [e.middle for e in drawn if e.middle is not None and e.shows(name)]
