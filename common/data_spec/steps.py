"""Declared preprocessing: what a study does to every sample before a model sees it, in training and in use alike.

A step is a plug-in (entry points of the group `consilium.steps`). It works on each sample by itself, with the public
options of the study alone: nothing is ever computed over patients.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, model_validator

from common import plugins
from common.errors import StudyError

Shape = tuple[int, ...]


class StepKind(Protocol):
    """One kind of step.

    One that moves pixels also has `masks(options, samples, masks)`: masks `[N, ...]` on the grid of the samples that it
    was given, as they lie after the step, by the nearest pixel. One whose results differ from those of an earlier
    release has another `VERSION` (1 without it), so that data which were prepared before are prepared anew.

    Attributes:
        Options: what the study says, with bounds.
        kinds: the kinds of data that it is for.
    """

    Options: type[plugins.Options]
    kinds: frozenset[str]

    @staticmethod
    def shape(options: Any, shape: Shape) -> Shape:
        """Return the shape of a sample after the step.

        Raises:
            ValueError: a sample of that shape cannot be treated so, in the words of the study file.
        """
        ...

    @staticmethod
    def apply(options: Any, samples: Any) -> Any:
        """Return samples [N, *shape] after the step; none may depend on another."""
        ...


class Step(BaseModel):
    """A step chosen by `name`; every other key of the table is one of its options."""

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
            schema = plugins.load("steps", value["name"]).Options
            parsed = plugins.parse_options(schema, options, where="")
        except StudyError as error:
            raise ValueError(" ".join(filter(None, (error.what, error.fix)))) from None
        return {"name": value["name"], **parsed.model_dump(mode="json")}

    def kind(self) -> tuple[StepKind, plugins.Options]:
        """Return the plug-in and its options."""
        found: StepKind = plugins.load("steps", self.name)
        return found, found.Options.model_validate(dict(self.model_extra or {}))

    @property
    def version(self) -> int:
        """Version of the plug-in's results."""
        return int(getattr(plugins.load("steps", self.name), "VERSION", 1))


def shape_after(steps: Iterable[Step], kind: str, shape: Shape) -> Shape:
    """Return the shape of a sample after all steps.

    Args:
        steps: in order.
        kind: of the data.
        shape: of a sample before them.

    Raises:
        ValueError: a step does not fit the data, in the words of the study file.
    """
    for step in steps:
        plug_in, options = step.kind()
        if kind not in plug_in.kinds:
            fitting = ", ".join(sorted(plug_in.kinds))
            raise ValueError(f"step {step.name!r} is for data of kind {fitting}, not {kind}")
        try:
            shape = plug_in.shape(options, shape)
        except ValueError as error:
            raise ValueError(f"step {step.name!r}: {error}") from None
    return shape


def require_followed(steps: Iterable[Step], target: str) -> None:
    """Refuse points whose pixels a step would move away.

    Args:
        steps: of the study.
        target: kind of its targets.

    Raises:
        ValueError: in the words of the study file.
    """
    for step in steps:
        if target == "points" and hasattr(step.kind()[0], "masks"):
            raise ValueError(f"step {step.name!r} would leave the points where they were")
