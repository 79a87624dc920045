"""Goes through the index of a study's images once and keeps counts."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from client.data.deidentify.burnt_in import Risk
from client.data.dicom import dcmtk
from client.data.dicom.slices import Slice
from client.data.index.archive import archive
from client.data.quarantine import QuarantineLog

if TYPE_CHECKING:
    from client.data.config import DicomDataset
    from client.site import Site
    from common.data_spec import ImageSpec

SAMPLED = 16
"""Images whose pixels are looked at."""
FAR = 3.0
"""Pixels so many times larger or smaller than the study's lose detail, or have it made up."""


@dataclass
class Survey:
    """What the headers say.

    Attributes:
        slices: usable images, or frames of them.
        patients: how many.
        shared: images, by UID, that lie there under two patients.
        spacings: images by pixel spacing (mm between rows, between columns); none: not stated.
        encodings: images by transfer syntax; only those that a plug-in must decode. What needs DCMTK's tools is told
            by the cohort, which knows whether they were there.
        sampled: some images, drawn from all with equal chance.
        named: files that look wrong, for the site's private list.
    """

    slices: int = 0
    patients: int = 0
    shared: int = 0
    spacings: Counter[tuple[float, float] | None] = field(default_factory=Counter)
    encodings: Counter[str] = field(default_factory=Counter)
    sampled: list[Slice] = field(default_factory=list)
    named: QuarantineLog = field(default_factory=QuarantineLog, repr=False)

    def add(self, found: Slice, spec: ImageSpec, draw: random.Random) -> None:
        """Count one image."""
        place = found.spacing_mm
        self.spacings[(round(place[0], 3), round(place[1], 3)) if place else None] += 1
        if place and spec.spacing_mm and is_far(place, spec.spacing_mm, FAR):
            self.named.add(found.file.name, "pixels far from the study's spacing")
        if found.burnt_in:
            self.named.add(found.file.name, Risk[found.burnt_in].value)
        if found.encoded is not None and not dcmtk.needed(found.encoded):
            self.encodings[found.encoded.syntax] += 1
        if len(self.sampled) < SAMPLED:
            self.sampled.append(found)
        else:
            at = draw.randrange(self.slices + 1)
            if at < SAMPLED:
                self.sampled[at] = found
        self.slices += 1


def is_far(place: tuple[float, float], middle: float, factor: float) -> bool:
    """Tell whether pixels are so many times larger or smaller than usual."""
    return any(side > middle * factor or side < middle / factor for side in place)


def survey(site: Site, name: str, dataset: DicomDataset, spec: ImageSpec) -> Survey:
    """Look at a data set; its index is brought up to date first.

    Raises:
        DataError: there is no such folder.
    """
    made = Survey()
    draw = random.Random(0)
    place = site.private_folder / "index" / f"{name}-{spec.modality}.sqlite"
    with archive(dataset.path, spec.modality, place) as held:
        made.patients = sum(1 for _ in held.patients())
        made.shared = held.under_two_patients()
        for found in held.everything():
            made.add(found, spec, draw)
    return made
