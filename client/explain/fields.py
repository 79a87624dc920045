"""What the columns of tables, series, signals, records and graphs mean, in the study's own words and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.data_spec import DataSpec, Feature, Quantity, Variable
from common.data_spec.molecules import ATOM_INPUTS, BONDS

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Field:
    """One thing that is known of a case; it takes one column or several.

    Attributes:
        name: the study's.
        width: columns that it takes.
        unit: of its values; empty: none, or they are no quantities any more.
        middle: the value that 0 stands for.
        half: what 1 in the column adds to that.
        words: of a category or a flag, what its values are called.
    """

    name: str
    width: int = 1
    unit: str = ""
    middle: float = 0.0
    half: float = 1.0
    words: tuple[str, ...] = ()

    def told(self, columns: Floats) -> str:
        """Return the value of one row's columns in words."""
        if not self.words:
            return f"{self.middle + self.half * float(columns[0]):.4g} {self.unit}".rstrip()
        if len(self.words) == 2 and self.words == YES_NO:
            return "unknown" if columns[0] == 0 else self.words[int(columns[0] > 0)]
        values = columns[: len(self.words)]
        return self.words[int(values.argmax())] if values.max() > 0 else "other or unknown"


YES_NO = ("no", "yes")


@dataclass(frozen=True)
class Fields:
    """All fields, in the order of their columns.

    Attributes:
        fields: what they are.
        step: length of a step of time.
        time: its unit, or what a step is.
    """

    fields: tuple[Field, ...]
    step: float = 1.0
    time: str = "step"

    @property
    def owners(self) -> NDArray[np.int64]:
        """The number of the field of every column, `[F]`."""
        return np.repeat(np.arange(len(self.fields)), [field.width for field in self.fields])

    def columns(self, number: int) -> slice:
        """Return where a field's columns lie."""
        start = sum(field.width for field in self.fields[:number])
        return slice(start, start + self.fields[number].width)


def fields_of(spec: DataSpec) -> Fields | None:
    """Return the fields of a study's samples; none of images.

    Where the study's steps change what a column is, its unit goes, or its name, too.
    """
    width = spec.model_shape[-1]
    if len(spec.model_shape) > 2:
        return None
    found = _named(spec)
    if sum(field.width for field in found) != width:
        found = [Field(f"input {number}") for number in range(1, width + 1)]
    elif spec.steps:
        found = [Field(field.name, field.width) for field in found]
    return Fields(tuple(found), *_time(spec))


def _time(spec: DataSpec) -> tuple[float, str]:
    """Return how long a step is, and in what."""
    if spec.kind == "signals" and spec.model_shape[0] == spec.input_shape[0]:
        return 1 / spec.sampling_hz, "s"
    if spec.kind == "series" or (spec.kind == "records" and spec.visits is None):
        return spec.step_minutes, "min"
    return 1.0, {"records": "visit", "molecules": "atom"}.get(spec.kind, "step")


def _named(spec: DataSpec) -> Sequence[Field]:
    if spec.kind == "table":
        return [_feature(feature) for feature in spec.features]
    if spec.kind == "signals":
        return [_quantity(channel) for channel in spec.channels]
    if spec.kind == "series":
        middle, half = (spec.maximum + spec.minimum) / 2, spec.half_range
        return [Field("reading", 1, spec.unit, middle, half)]
    if spec.kind == "records":
        known = [_quantity(variable) for variable in spec.variables]
        known += [_feature(feature) for feature in spec.features]
        visits = [Field("time in the window"), Field("visit", words=YES_NO)]
        return known + (visits if spec.visits is not None else [])
    if spec.kind == "molecules" and spec.representation == "graph":
        known = [Field(name) for name in ATOM_INPUTS]
        others = range(1, spec.max_atoms + 1)
        return known + [Field(f"{kind} bond to atom {n}") for kind in BONDS for n in others]
    return []


def _feature(feature: Feature) -> Field:
    if feature.type == "number":
        low, high = float(feature.minimum or 0.0), float(feature.maximum or 0.0)
        middle, half = (low + high) / 2, (high - low) / 2
        return Field(feature.name, feature.width, feature.unit, middle, half)
    words = YES_NO if feature.type == "flag" else tuple(map(str, feature.categories or ()))
    return Field(feature.name, feature.width, words=words)


def _quantity(quantity: Quantity) -> Field:
    middle = (quantity.maximum + quantity.minimum) / 2
    half = (quantity.maximum - quantity.minimum) / 2
    width = quantity.width if isinstance(quantity, Variable) else 1
    return Field(quantity.name, width, quantity.unit, middle, half)
