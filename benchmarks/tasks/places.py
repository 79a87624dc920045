"""The same training without a federation: all patients in one place, or every site alone."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
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
from simulations.sites import SimulatedSites, find_sites, forget_warm_agents


@dataclass(frozen=True)
class Reached:
    """The headline on all held-out patients, without a federation.

    Attributes:
        same_passes: of one model of all patients, trained with as many passes over them as a site makes over its own.
        same_steps: the same, trained with as many steps as a site takes.
        alone: the mean of the sites' own models. Each is tried on the held-out patients of all sites, as the others
            are: so no two models' scores are mixed, and what a site misses of the others' patients shows.
    """

    same_passes: float
    same_steps: float
    alone: float


def without_federation(case: Case) -> Reached:
    """Train in one place, twice, and at every site alone."""
    study = _plain(load_study(case.study))
    cohorts = cohorts_of(study, case.hospitals)
    everybody = merged(cohorts)
    together = [_reached(s, everybody, everybody) for s in _lengths(study, len(cohorts))]
    alone = [_reached(study, cohort, everybody) for cohort in cohorts]
    return Reached(*together, float(np.mean([value for value in alone if not math.isnan(value)])))


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


def _lengths(study: Study, sites: int) -> tuple[Study, Study]:
    """Return the study with as many passes over all patients as a site makes over its own, and with as many steps."""
    training = study.training
    if training.local_steps is not None:
        return _longer(study, local_steps=training.local_steps * sites), study
    return study, _longer(study, local_epochs=(training.local_epochs or 1) / sites)


def _longer(study: Study, **length: float) -> Study:
    training = study.training.model_copy(update=length)
    return study.model_copy(update={"training": training})


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
