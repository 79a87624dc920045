"""Which cases are explained, and which of their samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.errors import DataError

WITHOUT_NAMES = 3
"""Cases explained where none is named."""


def cases_named(wanted: Sequence[str], own: Sequence[str], told: Sequence[str]) -> list[int]:
    """Return the numbers of the cases that the user means, in that order; the first few where none is named.

    Args:
        wanted: the house's names, pseudonyms, or what else the predictions call the cases.
        own: the house's names, by number.
        told: what the predictions call them, by number.

    Raises:
        DataError: one is not among the cases; its name is not repeated, since it may identify.
    """
    if not wanted:
        return list(range(min(WITHOUT_NAMES, len(own))))
    known = {name: number for number, name in enumerate(told)}
    known |= {name: number for number, name in enumerate(own)}
    found = []
    for place, name in enumerate(wanted, start=1):
        if name not in known:
            raise DataError(
                f"Case {place} of those asked for is not among the {len(own)} usable cases.",
                where="--case",
                fix="`consilium predict` lists their names; one that is left out there is not usable.",
            )
        found.append(known[name])
    return list(dict.fromkeys(found))


def samples_shown(scores: NDArray[np.float64], most: int, pooled: bool) -> list[int]:
    """Return which of a case's samples are explained, in order.

    Where they answer together, those that say most surely what is explained; else the last ones.
    """
    order = np.argsort(scores, kind="stable") if pooled else np.arange(len(scores))
    return sorted(order[-most:].tolist())
