"""Cuts one public data set into sites: evenly, with skewed labels, or along a column.

All functions return one sorted array of row numbers a site; together they hold every row once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from common.errors import StudyError

Rows = NDArray[np.int64]


def iid(rows: int, sites: int, *, seed: int) -> list[Rows]:
    """Shuffle and cut into parts whose sizes differ by one at most.

    Raises:
        StudyError: there are fewer rows than sites.
    """
    _require_rows(rows, sites)
    shuffled = np.random.default_rng(seed).permutation(rows)
    return [np.sort(part).astype(np.int64) for part in np.array_split(shuffled, sites)]


def dirichlet(
    labels: ArrayLike, sites: int, *, alpha: float, seed: int, least: int = 1, tries: int = 1000
) -> list[Rows]:
    """Give each site its own share of every class, drawn from Dirichlet(alpha).

    Hsu, Qi, Brown: Measuring the effects of non-identical data distribution for federated visual
    classification (2019), in the form that draws, for each class, the sites' shares of it. Small
    alpha: each site sees few classes; large alpha: all sites look alike.

    Args:
        labels: one a row.
        sites: how many parts.
        alpha: concentration, above 0.
        seed: of the draw.
        least: draw again until every site has so many rows.
        tries: how often, at most.

    Raises:
        StudyError: alpha is not positive, or no draw gave every site its `least` rows.
    """
    classes = np.asarray(labels)
    _require_rows(len(classes), sites * least)
    if not (np.isfinite(alpha) and alpha > 0):
        raise StudyError(f"alpha is {alpha}.", where="alpha", fix="Use a number above 0.")
    rng = np.random.default_rng(seed)
    for _ in range(tries):
        parts = _dirichlet_once(classes, sites, alpha, rng)
        if min(len(part) for part in parts) >= least:
            return parts
    raise StudyError(
        f"No draw gave each of {sites} sites {least} rows.",
        where="alpha",
        fix="Use a larger alpha or fewer sites.",
    )


def _dirichlet_once(
    classes: NDArray[Any], sites: int, alpha: float, rng: np.random.Generator
) -> list[Rows]:
    parts: list[list[int]] = [[] for _ in range(sites)]
    for value in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == value))
        ends = np.rint(np.cumsum(rng.dirichlet(np.full(sites, alpha))) * len(members)).astype(int)
        for part, chunk in zip(parts, np.split(members, ends[:-1]), strict=True):
            part.extend(chunk.tolist())
    return [np.sort(np.array(part, dtype=np.int64)) for part in parts]


def by_column(values: Sequence[Hashable]) -> dict[Hashable, Rows]:
    """Make a site of every value of a column (a hospital's number, a region), in order of first sight."""
    rows: dict[Hashable, list[int]] = {}
    for number, value in enumerate(values):
        rows.setdefault(value, []).append(number)
    return {value: np.array(numbers, dtype=np.int64) for value, numbers in rows.items()}


def _require_rows(rows: int, needed: int) -> None:
    if needed < 1 or rows < needed:
        raise StudyError(
            f"{rows} rows cannot be cut as asked; {max(needed, 1)} are needed.",
            where="sites",
            fix="Use fewer sites or more rows.",
        )
