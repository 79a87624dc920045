"""Whose segmentations there are: for crops round a structure, and for studies that learn to draw structures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from client.data.config import DicomDataset
from client.data.masks.finding import Drawing, by_patient, drawings
from client.data.quarantine import QuarantineLog
from common.data_spec import ImageSpec
from common.errors import DataError


@dataclass(frozen=True)
class Marks:
    """Segmentations by patient.

    Attributes:
        drawings: of the structures that the study needs.
        centre: what the site calls the structure to crop round; none where the study does not crop so.
        structures: what the site calls the structures to learn, in order; none where the study learns others things.
    """

    drawings: Mapping[str, Sequence[Drawing]] = field(default_factory=dict, repr=False)
    centre: str | None = None
    structures: tuple[str, ...] = ()

    @property
    def needed(self) -> bool:
        """Tell whether the study needs segmentations."""
        return self.centre is not None or bool(self.structures)


def read_marks(
    dataset: DicomDataset, spec: ImageSpec, patients: Sequence[str], log: QuarantineLog
) -> Marks:
    """Look through the site's masks, if the study needs them.

    Raises:
        DataError: the site has none.
    """
    local = dataset.structures
    centre = None if spec.structure is None else local.get(spec.structure, spec.structure)
    wanted = spec.structures if spec.labels == "mask" else ()
    names = tuple(local.get(name, name) for name in wanted)
    if centre is None and not names:
        return Marks()
    if dataset.masks is None:
        raise DataError(
            "The study needs segmentations, but the site has no masks.",
            where="masks",
            fix="Set masks in site.toml to the folder of the segmentations.",
        )
    asked = names if centre is None else (*names, centre)
    found = by_patient(drawings(dataset.masks, log), asked, set(patients))
    return Marks(found, centre, names)
