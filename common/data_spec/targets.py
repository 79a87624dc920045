"""How a study maps a target column's values to classes."""

from __future__ import annotations

from pydantic import Field, model_validator

from common.data_spec.base import Scalar, Spec


class ClassedSpec(Spec):
    """Kinds whose target is a column.

    The target's values are mapped either by `positive` (two classes: the others, then these; with
    `negative` given, a value in neither list is an error) or by `classes` (class name → its values,
    in class order).

    Attributes:
        target: the study's name of the target column.
        positive: target values of class 1.
        negative: target values of class 0; none: all the others.
        classes: values of each class.
    """

    target: str = Field(min_length=1)
    positive: tuple[Scalar, ...] | None = None
    negative: tuple[Scalar, ...] | None = None
    classes: dict[str, tuple[Scalar, ...]] | None = None

    @model_validator(mode="after")
    def _mapped_once(self) -> ClassedSpec:
        """Refuse a target that is mapped twice, or not at all."""
        if (self.positive is None) == (self.classes is None):
            raise ValueError("give either positive = [...] or classes = {name = [...]}")
        if self.negative is not None and self.positive is None:
            raise ValueError("negative goes with positive")
        groups = self.classes or {"positive": self.positive or (), "negative": self.negative or ()}
        values = [str(value) for group in groups.values() for value in group]
        if len(set(values)) != len(values):
            raise ValueError("a target value belongs to two classes")
        return self
