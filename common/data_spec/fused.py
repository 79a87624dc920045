"""Several kinds of data of the same patients in a study's `[data]` section."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.data_spec.base import Spec
from common.data_spec.images import ArraySpec, ImageSpec
from common.data_spec.molecules import MoleculeSpec
from common.data_spec.records import RecordSpec
from common.data_spec.series import SeriesSpec
from common.data_spec.signals import SignalSpec
from common.data_spec.tables import TableSpec

OrdinarySpec = Annotated[
    ImageSpec | ArraySpec | TableSpec | SeriesSpec | SignalSpec | RecordSpec | MoleculeSpec,
    Field(discriminator="kind"),
]
PartName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]

_OF_THE_WHOLE = ("dataset", "test_fraction", "max_samples_per_patient")
_TARGETS = ("class", "classes")


@dataclass(frozen=True)
class Place:
    """Where a part lies in the vector of a sample.

    Attributes:
        name: of the part.
        flag: index of the number that says whether the part is there: 1, or 0.
        start: index of its first value; all are 0 where it is missing.
        shape: of its samples, as its network sees them.
    """

    name: str
    flag: int
    start: int
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """Index after its last value."""
        return self.start + math.prod(self.shape)


class FusedSpec(Spec):
    """Samples of several parts, each described like data of its own; some may be missing.

    A sample is one vector, shape (W,): a flag for every part, then the parts' values one after another, in the order
    of the parts' names. What is common to all (`test_fraction`, `max_samples_per_patient`) stands in `[data]`, not in
    the parts.

    Attributes:
        parts: by name, what is asked for; steps of a part are applied to it.
        target: name of the part that knows the target; a patient without it is left out.
    """

    kind: Literal["fused"]
    parts: dict[PartName, OrdinarySpec] = Field(min_length=2, max_length=16)
    target: str

    @model_validator(mode="after")
    def _one_target(self) -> FusedSpec:
        """Refuse a target that is nowhere or that cannot be learned, and keys in a part that are of the whole."""
        if self.target not in self.parts:
            raise ValueError(f"target is none of the parts {', '.join(sorted(self.parts))}")
        if self.target_kind not in _TARGETS:
            raise ValueError("the target of fused data is a class, or findings")
        for name, part in self.parts.items():
            self._check(name, part)
        return self

    def _check(self, name: str, part: Spec) -> None:
        for key in _OF_THE_WHOLE:
            if getattr(part, key) != type(part).model_fields[key].default:
                raise ValueError(f"part {name!r}: {key} stands in [data], for all parts")
        image = isinstance(part, ImageSpec | ArraySpec)
        if name != self.target and image and part.target_kind != "none":
            raise ValueError(f"part {name!r}: images beside the target have labels = 'none'")

    @property
    def layout(self) -> tuple[Place, ...]:
        """Where the parts lie in a sample."""
        places, start = [], len(self.parts)
        for flag, name in enumerate(sorted(self.parts)):
            place = Place(name, flag, start, tuple(self.parts[name].model_shape))
            places.append(place)
            start = place.end
        return tuple(places)

    @property
    def target_kind(self) -> str:
        """What a sample's target is."""
        return self.parts[self.target].target_kind

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample: (W,)."""
        return (self.layout[-1].end,)
