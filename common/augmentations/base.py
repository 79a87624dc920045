"""Augmentations: what a study changes at random in training samples, and never in those that are evaluated.

An augmentation is a plug-in (entry points of the group `consilium.augmentations`). It sees each sample by itself and
random numbers that belong to that sample alone, so neither other patients nor the size of a batch play a part, and a
patient's gradient stays one that clipping bounds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from common import plugins
from common.errors import StudyError

if TYPE_CHECKING:
    import torch

Words = NDArray[np.int64]
"""Random numbers `[B, k]`, each equally likely in [0, 2⁶³)."""
Doubles = NDArray[np.float64]
IMAGES = frozenset({"dicom", "arrays"})
SEQUENCES = frozenset({"series", "signals", "records"})
POINTS = frozenset({"points"})


class AugmentationKind(Protocol):
    """One kind of augmentation.

    Attributes:
        Options: what the study says, with bounds; `SometimesOptions` where a sample may be left as it is.
        kinds: the kinds of data that it is for.
        unfit: kinds of targets (`common.data_spec.base.TARGETS`) that it would make false.
        words: how many random numbers it takes for a sample.
    """

    Options: type[plugins.Options]
    kinds: frozenset[str]
    unfit: frozenset[str]
    words: int

    @staticmethod
    def apply(
        options: Any, inputs: torch.Tensor, targets: torch.Tensor, words: Words
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return changed samples and their targets; none may depend on another sample.

        Args:
            options: the study's.
            inputs: images `[B, C, H, W]`, volumes `[B, C, D, H, W]` or sequences `[B, T, C]`, on any device.
            targets: `[B, ...]`; masks lie on the grid of the images, `[B, H, W]` or `[B, D, H, W]`.
            words: `[B, k]`, k as declared.
        """
        ...


class SometimesOptions(plugins.Options):
    """Options of what changes some of the samples only."""

    probability: float = Field(default=0.5, gt=0.0, le=1.0)


class Augmentation(BaseModel):
    """An augmentation chosen by `name`; every other key of the table is one of its options.

    One without options is written as its bare name: studies that were approved when there were no others keep their
    fingerprints.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, value: Any) -> Any:
        """Check the options and write out their defaults, so that the fingerprint covers them."""
        value = {"name": value} if isinstance(value, str) else value
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            return value
        options = {key: entry for key, entry in value.items() if key != "name"}
        try:
            schema = plugins.load("augmentations", value["name"]).Options
            parsed = plugins.parse_options(schema, options, where="")
        except StudyError as error:
            raise ValueError(" ".join(filter(None, (error.what, error.fix)))) from None
        return {"name": value["name"], **parsed.model_dump(mode="json")}

    @model_serializer
    def _written(self) -> str | dict[str, Any]:
        options = dict(self.model_extra or {})
        return {"name": self.name, **options} if options else self.name

    def kind(self) -> tuple[AugmentationKind, plugins.Options]:
        """Return the plug-in and its options."""
        found: AugmentationKind = plugins.load("augmentations", self.name)
        return found, found.Options.model_validate(dict(self.model_extra or {}))

    def require(self, data: str, target: str) -> None:
        """Refuse data that it is not for.

        Args:
            data: their kind.
            target: kind of their targets.

        Raises:
            ValueError: in the words of the study file.
        """
        plug_in, _ = self.kind()
        if data not in plug_in.kinds:
            fitting = ", ".join(sorted(plug_in.kinds))
            raise ValueError(
                f"augmentation {self.name!r} is for data of kind {fitting}, not {data}"
            )
        if target in plug_in.unfit:
            raise ValueError(f"augmentation {self.name!r} would leave the {target} where they were")


def unit(words: Words) -> Doubles:
    """Return random numbers as multiples of 2⁻⁶³ in [0, 1)."""
    drawn: Doubles = np.minimum(words * 2.0**-63, 1.0 - 2.0**-53)
    return drawn


def spread(words: Words, most: float) -> Doubles:
    """Return random numbers in [-most, most)."""
    return (2.0 * unit(words) - 1.0) * most


def per_sample(values: Doubles, like: torch.Tensor) -> torch.Tensor:
    """Return numbers `[B]` as they combine with samples `[B, ...]`, on their device and of their type."""
    import torch

    numbers = torch.from_numpy(values).to(device=like.device, dtype=like.dtype)
    return numbers.reshape(-1, *[1] * (like.ndim - 1))


def has_masks(inputs: torch.Tensor, targets: torch.Tensor) -> bool:
    """Return whether targets are masks on the grid of images or volumes."""
    return inputs.ndim > 3 and targets.shape[1:] == inputs.shape[2:]
