"""What the data of every kind have in common in a study's `[data]` section."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from common.data_spec.reports import check_vocabulary
from common.data_spec.steps import Shape, Step, require_followed, shape_after
from common.later import LATER

Scalar = bool | int | float | str

TARGETS = {
    "class": "one class a sample",
    "classes": "any number of findings a sample",
    "value": "one number a sample",
    "values": "later values of the series",
    "hazard": "a time and whether the event came then",
    "mask": "a mask of structures",
    "points": "points with a size",
    "text": "a report in words of a public vocabulary",
    "decisions": "decisions and what came of them",
    "none": "no targets",
}
"""Kinds of targets, in words."""
MAX_POINTS = 8
"""Rows of an image's points where the study does not say."""


class Spec(BaseModel):
    """What all kinds share.

    Attributes:
        dataset: the name of the site's data set (`[data.NAME]` in site.toml); none: its only one
            of this kind.
        test_fraction: probability that a patient is held out; drawn for each patient on its own.
        max_samples_per_patient: keep at most so many samples of a patient, evenly spread; none:
            all.
        steps: what is done to every sample, in order, before the model sees it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str | None = None
    test_fraction: float = Field(default=0.25, ge=0.0, lt=1.0)
    max_samples_per_patient: int | None = Field(default=None, ge=1)
    steps: tuple[Step, ...] = Field(default=(), max_length=16, json_schema_extra=LATER)

    @model_validator(mode="after")
    def _fitting(self) -> Spec:
        """Refuse steps that do not fit the data or each other."""
        if self.steps:
            _ = self.model_shape
            require_followed(self.steps, self.target_kind)
        return self

    @property
    def input_shape(self) -> Shape:
        """Shape of one sample as it is read; each kind has its own."""
        raise NotImplementedError

    @property
    def target_kind(self) -> str:
        """What a sample's target is; see `TARGETS`."""
        return "class"

    @property
    def model_shape(self) -> Shape:
        """Shape of one sample as the model sees it: after the steps."""
        return shape_after(self.steps, str(getattr(self, "kind", "")), self.input_shape)


class SizedSpec(Spec):
    """Kinds whose samples are images of one size.

    Attributes:
        image_size: in pixels: one number for a square, or [rows, columns].
        labels: what is known of an image: its class; findings, each present, absent or unknown (1, 0, -1); a mask of
            the structures, on the image's own grid; points with a size; a report; or nothing.
        structures: names of what the masks or points show, in the order of their numbers 1, 2, …; points show one.
        vocabulary: the words that a report may have, in lower case.
        report_words: the most words that a report may have.
        max_points: rows of an image's points; of more than so many the largest are kept. None: 8.
    """

    image_size: tuple[int, int]
    labels: Literal["class", "classes", "mask", "points", "text", "none"] = Field(
        default="class", json_schema_extra=LATER
    )
    structures: tuple[str, ...] = Field(default=(), max_length=255, json_schema_extra=LATER)
    vocabulary: tuple[str, ...] = Field(default=(), max_length=255, json_schema_extra=LATER)
    report_words: int = Field(default=12, ge=1, le=64, json_schema_extra=LATER)
    max_points: int | None = Field(default=None, ge=1, le=256, json_schema_extra=LATER)

    @model_validator(mode="after")
    def _named_structures(self) -> SizedSpec:
        """Refuse masks of nothing, and structures that nobody asks for."""
        if (self.labels in ("mask", "points")) != bool(self.structures):
            raise ValueError("labels = 'mask' or 'points' and structures belong together")
        if len(set(self.structures)) != len(self.structures):
            raise ValueError("a structure is listed twice")
        if self.labels == "points" and len(self.structures) > 1:
            raise ValueError("points are of one structure")
        if self.labels != "points" and self.max_points is not None:
            raise ValueError("max_points belongs to labels = 'points'")
        return self

    @property
    def point_rows(self) -> int:
        """Rows of an image's points."""
        return self.max_points or MAX_POINTS

    @model_validator(mode="after")
    def _known_words(self) -> SizedSpec:
        """Refuse reports without words, and words that nobody asks for."""
        if (self.labels == "text") != bool(self.vocabulary):
            raise ValueError("labels = 'text' and vocabulary belong together")
        check_vocabulary(self.vocabulary)
        return self

    @property
    def target_kind(self) -> str:
        """What a sample's target is."""
        return self.labels

    @field_validator("image_size", mode="before")
    @classmethod
    def _square(cls, value: object) -> object:
        """Read one number as a square."""
        return (value, value) if isinstance(value, int) else value

    @field_validator("image_size")
    @classmethod
    def _sane(cls, value: tuple[int, int]) -> tuple[int, int]:
        """Refuse sizes that no image can have."""
        if not all(1 <= side <= 4096 for side in value):
            raise ValueError("image_size must be between 1 and 4096 pixels a side")
        return value
