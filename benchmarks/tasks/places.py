"""The same training without a federation: all patients in one place, or every site alone."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.tasks.case import Case
from client.data.cohort import Cohort
from client.training.batches import order_by_unit
from client.training.evaluation import evaluate
from client.training.plain import train_plain
from client.training.workspace import Silent, Workspace
from common.privacy.noise import SecureRandom
from common.study import Study
from common.study_file import load_study
from common.tasks import build_task
from common.tasks.base import LOWER_IS_BETTER
from simulations.sites import SimulatedSites, find_sites, forget_warm_agents


def in_one_place(case: Case) -> tuple[float, float]:
    """Return the headline on all held-out patients: of one model of all patients, and the mean of the sites' own.

    A site's own model is tried on the held-out patients of all sites, as the others are: so no two models' scores are
    mixed, and what a site misses of the others' patients shows. In one place the training is made twice, with as many
    passes over the patients as a site makes and with as many steps as a site takes; the better one counts.
    """
    study = _plain(load_study(case.study))
    cohorts = cohorts_of(study, case.hospitals)
    everybody = merged(cohorts)
    reached = [_reached(length, everybody, everybody) for length in _lengths(study, len(cohorts))]
    best = min if build_task(study).headline in LOWER_IS_BETTER else max
    together = best(reached)
    alone = [_reached(study, cohort, everybody) for cohort in cohorts]
    return together, float(np.mean([value for value in alone if not math.isnan(value)]))


def merged(cohorts: list[Cohort]) -> Cohort:
    """Return all sites' patients as those of one."""
    starts = np.cumsum([0, *(cohort.patients for cohort in cohorts[:-1])])
    return Cohort(
        inputs=np.concatenate([cohort.inputs for cohort in cohorts]),
        targets=np.concatenate([cohort.targets for cohort in cohorts]),
        patient=np.concatenate(
            [c.patient + start for c, start in zip(cohorts, starts, strict=True)]
        ),
        is_test=np.concatenate([cohort.is_test for cohort in cohorts]),
        split_id="declared",
    )


def _plain(study: Study) -> Study:
    """Return the study without privacy and without tables of subgroups."""
    rules = study.evaluation.model_copy(update={"subgroups": ()})
    return study.without_privacy().model_copy(update={"evaluation": rules})


def _lengths(study: Study, sites: int) -> list[Study]:
    """Return the study with as many passes over all patients as a site makes over its own, and with as many steps."""
    training = study.training
    if training.local_steps is not None:
        change = {"local_steps": training.local_steps * sites}
    else:
        change = {"local_epochs": (training.local_epochs or 1) / sites}
    other = study.model_copy(update={"training": training.model_copy(update=change)})
    return [study, other]


def cohorts_of(study: Study, hospitals: Path) -> list[Cohort]:
    """Prepare all sites' patients with the splits of a simulated run."""
    folders = find_sites(hospitals)
    with tempfile.TemporaryDirectory() as place:
        sites = SimulatedSites(study, folders, Path(place), study.study.seed)
        try:
            return [sites.agent(number).cohort for number in range(len(folders))]
        finally:
            forget_warm_agents()


def _reached(study: Study, own: Cohort, everybody: Cohort) -> float:
    """Train on one cohort for all rounds and return the headline on everybody's held-out patients."""
    space = Workspace(study)
    rows = own.rows("train")
    samples = order_by_unit(own.inputs[rows], own.targets[rows], own.patient[rows], space.device)
    random = SecureRandom.fixed(study.study.seed, "bench")
    weights = space.packed(space.template)
    for round_ in range(1, study.federation.rounds + 1):
        weights, _ = train_plain(space, weights, samples, random, Silent(), round_)
    figures = space.task.metrics(evaluate(space, weights, everybody))
    return float(figures[space.task.headline])
