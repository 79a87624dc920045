"""From a column's values to the numbers of a subgroup's groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from client.data import cells
from client.data.config_base import TextFormat
from client.data.units import conversion
from common.subgroups import Subgroup

NOWHERE = -1
"""The number of whoever is in no group, or of whom the site does not know it."""


def group_numbers(
    values: pd.Series[str], subgroup: Subgroup, text: TextFormat, unit: str = ""
) -> NDArray[np.int64]:
    """Return the number of each value's group, −1 where it is missing or in none.

    Args:
        values: of the site's column, as text.
        subgroup: the study's division.
        text: how the site writes it; its `replace`, `units`, `scale` and `offset` of the column apply.
        unit: the study's, of the bands; empty: not stated.

    Raises:
        DataError: the site's unit cannot be converted to the bands'.
    """
    words = cells.replaced(values, text.replace.get(subgroup.source, {}))
    if subgroup.bands is None:
        return _named(words, subgroup)
    own = conversion(subgroup.source, unit, text, where=f"subgroup '{subgroup.name}'")
    numbers = cells.numbers(words, text) * own.factor + own.offset
    found = np.searchsorted(subgroup.bands, numbers, side="right")
    return np.where(np.isnan(numbers), NOWHERE, found).astype(np.int64)


def _named(words: pd.Series[str], subgroup: Subgroup) -> NDArray[np.int64]:
    found = np.full(len(words), NOWHERE, dtype=np.int64)
    small = words.str.casefold()
    for number, group in enumerate((subgroup.groups or {}).values()):
        tokens = [v.casefold() if isinstance(v, str) else v for v in group]
        found[cells.matches(small, tokens)] = number
    return found
