"""Which rows of a public file belong to a site that takes a part of it: even parts, or parts of unlike classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.config import ArrayDataset
from common.data_spec import ArraySpec
from common.errors import DataError, StudyError
from common.partition import dirichlet

LEAST_SHARE = 0.1
"""Of an even part; draws that give a site fewer patients are drawn again."""


def in_part(
    patients: Sequence[str], targets: NDArray[Any], dataset: ArrayDataset, spec: ArraySpec
) -> NDArray[np.bool_]:
    """Tell which rows belong to this site's part; a patient is never in two.

    Without `part_alpha` a public shuffle of the patients is cut in n; with it, each class's patients are shared out
    by a Dirichlet draw. Every site draws the same from the same seed.

    Args:
        patients: identifiers, [N].
        targets: [N, ...].
        dataset: says which part.
        spec: says what the targets are.

    Raises:
        DataError: the patients cannot be shared out so.
    """
    index, of = dataset.part_of
    _, first, number = np.unique(
        np.array(patients, dtype=str), return_index=True, return_inverse=True
    )
    if dataset.part_alpha is None:
        shuffled = np.random.Generator(np.random.PCG64(dataset.part_seed)).permutation(len(first))
        return np.isin(number, np.array_split(shuffled, of)[index - 1])
    parts = _uneven(_kinds(targets, spec)[first], dataset, dataset.part_alpha)
    return np.isin(number, parts[index - 1])


def _kinds(targets: NDArray[Any], spec: ArraySpec) -> NDArray[Any]:
    """Return what the rows are shared out by: the class, or the pattern of findings."""
    if spec.labels not in ("class", "classes"):
        raise StudyError(
            "part_alpha shares patients out by their class, but the study has no classes.",
            where="[data] labels",
            fix="Leave part_alpha out of site.toml.",
        )
    return np.unique(targets, axis=0, return_inverse=True)[1].reshape(-1)


def _uneven(kinds: NDArray[Any], dataset: ArrayDataset, alpha: float) -> list[NDArray[np.int64]]:
    of = dataset.part_of[1]
    least = max(1, int(LEAST_SHARE * len(kinds) / of))
    try:
        return dirichlet(kinds, of, alpha=alpha, seed=dataset.part_seed, least=least)
    except StudyError as error:
        fix = "Use a larger part_alpha, another part_seed or fewer parts."
        raise DataError(error.what, where=str(dataset.path), fix=fix) from None
