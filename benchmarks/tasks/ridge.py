"""Ridge regression on windows of a series, in one place: what a federated forecast has to beat."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.tasks.folds import FOLDS, held_out
from client.data.cohort import Cohort

Floats = npt.NDArray[np.float64]


def ridge(cohorts: list[Cohort]) -> Iterator[Floats]:
    """Yield, for each fold, each site's sum of squared errors over its people of the fold, `[sites]`, scaled values.

    One regression on the people of all sites, from the window's values to the change that follows.

    Args:
        cohorts: of the sites.
    """
    for fold in range(FOLDS):
        split = [held_out(cohort, fold) for cohort in cohorts]
        known = [_equations(cohort, cohort.rows("train")) for cohort in split]
        inputs, changes = (np.concatenate(part) for part in zip(*known, strict=True))
        weights = np.linalg.solve(inputs.T @ inputs + np.eye(inputs.shape[1]), inputs.T @ changes)
        unseen = [_equations(cohort, cohort.rows("test")) for cohort in split]
        yield np.array([((rows @ weights - truth) ** 2).sum() for rows, truth in unseen])


def _equations(cohort: Cohort, rows: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return windows with a one beside them, `[n, T + 1]`, and the changes that follow, `[n]`."""
    windows = cohort.inputs[rows][:, :, 0].astype(np.float64)
    changes = cohort.targets[rows][:, 0] - windows[:, -1]
    return np.column_stack([windows, np.ones(len(windows))]), changes
