"""Federated training with every patient held out once: for sites so small that one split is luck."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from client.data.cohort import Cohort
from client.training.batches import order_by_unit
from client.training.evaluation import evaluate
from client.training.plain import train_plain
from client.training.workspace import Silent, Workspace
from common.privacy.noise import SecureRandom
from common.study import Study
from common.tasks.base import Tally
from common.weights import Vector

FOLDS = 5


def held_out(cohort: Cohort, fold: int, seed: int | None = None) -> Cohort:
    """Return the cohort with one fold of its patients held out.

    Args:
        cohort: of a site; its patients are numbered in a random order.
        fold: which, from 0.
        seed: of another order; none: theirs.
    """
    places = np.arange(cohort.patients)
    if seed is not None:
        places = np.random.default_rng(seed).permutation(places)
    return replace(cohort, is_test=places % FOLDS == fold)


def without_held_out(cohort: Cohort) -> Cohort:
    """Return a cohort of the training patients alone, so that nothing can be chosen on the others."""
    rows = cohort.rows("train")
    kept, patient = np.unique(cohort.patient[rows], return_inverse=True)
    return replace(
        cohort,
        inputs=cohort.inputs[rows],
        targets=cohort.targets[rows],
        patient=patient,
        is_test=np.zeros(len(kept), bool),
        groups=None if cohort.groups is None else cohort.groups[kept],
    )


def crossed(study: Study, cohorts: list[Cohort], seed: int | None = None) -> Iterator[list[Tally]]:
    """Yield, for each fold, each site's tally over its people of the fold, by a federated model that never saw them.

    Args:
        study: without privacy.
        cohorts: of the sites.
        seed: of the folds; none: by the patients' numbers.
    """
    space = Workspace(study)
    for fold in range(FOLDS):
        split = [held_out(cohort, fold, seed) for cohort in cohorts]
        weights = federated(space, split)
        yield [evaluate(space, weights, cohort) for cohort in split]


def federated(space: Workspace, cohorts: list[Cohort]) -> Vector:
    """Return the weights after all rounds of federated averaging (McMahan et al. 2017), sites weighing as patients."""
    random = SecureRandom.fixed(space.study.study.seed, "folds")
    weights = space.packed(space.template)
    patients = np.array([cohort.train_patients for cohort in cohorts])
    shares = (patients / patients.sum()).astype(weights.dtype)
    samples = [
        order_by_unit(c.inputs[r], c.targets[r], c.patient[r], space.device)
        for c, r in ((cohort, cohort.rows("train")) for cohort in cohorts)
    ]
    for round_ in range(1, space.study.federation.rounds + 1):
        replies = [train_plain(space, weights, own, random, Silent(), round_)[0] for own in samples]
        weights = np.tensordot(shares, np.stack(replies), axes=1)
    return weights
