"""Writes masks as DICOM segmentation objects (PS3.3, A.51) with highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from client.data.dicom.quiet import quiet

SCHEME = "99CONSILIUM"
"""Coding scheme of structures, which have the names that their study gives them."""


@dataclass(frozen=True)
class Author:
    """Who drew the masks.

    Attributes:
        name: of the network, with the study it comes from; or of the reader.
        version: of the program.
        by_hand: drawn by a person.
    """

    name: str
    version: str
    by_hand: bool = False


@dataclass(frozen=True)
class Identity:
    """What makes the object one of its own.

    Attributes:
        series, instance, dimensions: its UIDs.
        moment: when it was made.
    """

    series: UID = field(default_factory=generate_uid)
    instance: UID = field(default_factory=generate_uid)
    dimensions: UID = field(default_factory=generate_uid)
    moment: datetime = field(default_factory=datetime.now)


def write_seg(
    path: Path,
    images: Sequence[Dataset],
    masks: NDArray[np.uint8],
    structures: Sequence[str],
    author: Author,
    identity: Identity | None = None,
) -> None:
    """Write one series' masks as a binary segmentation that viewers lay over the images.

    It belongs to the patient and the study of the images, and repeats what identifies them.

    Args:
        path: of the file.
        images: headers of the series' slices; their order is that of the masks.
        masks: [slices, rows, columns], numbers of structures; 0 is none.
        structures: names of the structures 1, 2, …
        author: who drew them.
        identity: UIDs and time; none: new ones.
    """
    from highdicom.seg import Segmentation

    own = identity or Identity()
    with quiet():  # warnings about names of patients quote them
        made = Segmentation(
            list(images),
            masks,
            "BINARY",
            [_segment(number, name, author) for number, name in enumerate(structures, start=1)],
            series_instance_uid=own.series,
            series_number=900,
            sop_instance_uid=own.instance,
            instance_number=1,
            manufacturer="Consilium",
            manufacturer_model_name=author.name,
            software_versions=author.version,
            device_serial_number="0",
            content_label="STRUCTURES",
        )
    _stamp(made, own)
    made.save_as(path)


def _segment(number: int, name: str, author: Author) -> Any:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = None
    if not author.by_hand:
        family = codes.DCM.ArtificialIntelligence
        algorithm = AlgorithmIdentificationSequence(author.name, family, author.version)
    return SegmentDescription(
        number,
        name,
        codes.SCT.AnatomicalStructure,
        _code(name),
        "MANUAL" if author.by_hand else "AUTOMATIC",
        algorithm,
    )


def _code(name: str) -> Any:
    """Return a code that says no more than the structure's name."""
    from highdicom.sr import CodedConcept

    return CodedConcept(name.upper()[:16], SCHEME, name[:64])


def _stamp(made: Dataset, own: Identity) -> None:
    """Put in the times and the UID that highdicom makes up."""
    day, time = own.moment.strftime("%Y%m%d"), own.moment.strftime("%H%M%S")
    made.ContentDate = made.InstanceCreationDate = made.SeriesDate = day
    made.ContentTime = made.InstanceCreationTime = made.SeriesTime = time
    for equipment in made.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = day + time
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = own.dimensions
    for index in made.DimensionIndexSequence:
        index.DimensionOrganizationUID = own.dimensions
