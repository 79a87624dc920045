"""A target column as it is read: values that mean a class, or numbers in a public range."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells
from client.data.config_base import TextFormat
from client.data.targets import class_numbers
from client.data.units import conversion
from common.data_spec import ClassedSpec, ValueRange

SUSPICIOUS = 0.5
"""Share of values outside the public range from which on the unit is doubted."""
Rows = NDArray[np.bool_] | NDArray[np.int64]


@dataclass(frozen=True)
class TargetColumn:
    """The target of every row of a table.

    Attributes:
        spec: what the study asks for.
        text: how the site writes it.
        where: the file, for messages.
        words: [N] what stands there, in the study's words.
        numbers: [N] in the study's unit, NaN where there is no number; none where the target is a class.
    """

    spec: ClassedSpec
    text: TextFormat
    where: str
    words: pd.Series[Any] = field(repr=False)
    numbers: NDArray[np.float64] | None = field(repr=False)

    @classmethod
    def read(
        cls, frame: pd.DataFrame, spec: ClassedSpec, text: TextFormat, *, where: str
    ) -> TargetColumn:
        """Read the column.

        Raises:
            DataError: the site's unit cannot be converted.
        """
        words = cells.replaced(frame[text.local(spec.target)], text.replace.get(spec.target, {}))
        if spec.value is None:
            return cls(spec, text, where, words, None)
        unit = conversion(spec.target, spec.value.unit, text, where=where)
        return cls(spec, text, where, words, cells.numbers(words, text) * unit.factor + unit.offset)

    def faults(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """Return the reasons for which rows cannot be used, with the rows that have them."""
        found = [("no target value", cells.is_missing(self.words, self.text))]
        if self.numbers is not None:
            found.append(("no target value that is a number", np.isnan(self.numbers)))
        return found

    def encoded(
        self, rows: Rows, classes: Sequence[str] | None, identifiers: Collection[str] = ()
    ) -> tuple[NDArray[Any], tuple[str, ...]]:
        """Return the targets of usable rows, [n] classes or [n, 1] in [-1, 1], and notes about what looks wrong.

        Raises:
            StudyError: the study's classes and its task's do not agree.
            DataError: a value belongs to no class; it is quoted unless it is one of the `identifiers`.
        """
        if self.numbers is not None and self.spec.value is not None:
            return _scaled(self.numbers[rows], self.spec.value, self.spec.target)
        where = f"{self.where}, '{self.words.name}'"
        values = self.words.iloc[np.arange(len(self.words))[rows]]
        return class_numbers(values, self.spec, classes, where=where, identifiers=identifiers), ()


def _scaled(
    numbers: NDArray[np.float64], span: ValueRange, name: str
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Clip numbers to the public range and map it to [-1, 1]; note where most lie outside."""
    outside = int(((numbers < span.minimum) | (numbers > span.maximum)).sum())
    notes: tuple[str, ...] = ()
    if outside > SUSPICIOUS * max(1, len(numbers)):
        limits = f"{span.minimum:g} to {span.maximum:g}"
        notes = (f"'{name}': {outside} values are outside {limits}: check the unit.",)
    inside = np.clip(numbers, span.minimum, span.maximum)
    return ((inside - span.middle) / span.half_range).astype(np.float32)[:, None], notes
