"""Real glucose: half an hour ahead, five public studies of type-1 diabetes as five sites.

A few people a site make one split a matter of luck (two held-out people at one of them). `python -m
benchmarks.tasks.real_glucose` therefore holds every person out once, in five folds, and trains federated five times. It
prints each study's error beside the last value's and beside that of one ridge regression on the people of all studies
together, which sees the very same windows. This network and a GRU were compared on one fold, whose people are
in the figures too; nothing else was chosen.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.tasks.case import Case
from benchmarks.tasks.folds import FOLDS, crossed, held_out
from benchmarks.tasks.places import cohorts_of
from client.data.cohort import Cohort
from common.study_file import load_study
from common.tasks import build_task

PEOPLE = {"AZT1D": 25, "Bris-T1D-Open": 20, "HUPA-UCM": 25, "T1D-UOM": 17, "PhysioCGM": 9}
"""Study: how many people it has."""
RIDGE = {"AZT1D": 22.4, "Bris-T1D-Open": 24.4, "HUPA-UCM": 17.6, "T1D-UOM": 21.2, "PhysioCGM": 21.0}
"""Study: the RMSE in mg/dL to stay below, of a ridge regression that was fitted before, on windows of its own."""

SITE = """\
[site]
name = "{name}"

[data]
kind = "series"
path = "{path}"
patient = "<file>"
time = "timestamp"
value = "glucose_value_mg_dl"
declared_patients = {people}

[policy]
min_patients = 5
max_epsilon = 8.5
delta = 1e-2
allow_non_private = true
statistics = "exact"
"""
STUDY = """\
[study]
name = "glucose-real"
title = "Glucose half an hour ahead, five studies of type-1 diabetes"

[task]
name = "forecasting"
loss = "mse"
error_grids = ["clarke", "parkes"]

[model]
name = "temporal-convolution"
channels = 16
blocks = 3
residual = true

[data]
kind = "series"
unit = "mg/dL"
step_minutes = 5.0
history_minutes = 120.0
horizons_minutes = [30.0]
minimum = 40.0
maximum = 400.0
valid_minimum = 20.0
valid_maximum = 600.0
valid_change_per_minute = 20.0
max_gap_minutes = 10.0
stride_minutes = 15.0
test_fraction = 0.25

[training]
optimizer = "adam"
learning_rate = 0.001
local_steps = 10

[training.without_privacy]
learning_rate = 0.004
local_steps = 100
batch_size = 64

[privacy]
epsilon = 8.0
delta = 1e-2
clip_norm = 0.02
sampling_rate = "1/2"
samples_per_patient = 16

[federation]
rounds = 12
min_sites = 5
deadline_seconds = 3600

[evaluation]
per = "sample"
every = 6
"""


def cases(folder: Path, data: Path) -> Iterator[Case]:
    """Yield the study after writing its files.

    Args:
        folder: where to.
        data: the collections.
    """
    place = folder / "glucose-real"
    for name, people in PEOPLE.items():
        own = place / "sites" / name
        own.mkdir(parents=True)
        folder_name = name.replace("T1D-Open", "T1D_Open")
        path = data / "glucose" / folder_name / f"{folder_name}-from-Glucose-ML.zip"
        text = SITE.format(name=name, path=path, people=people)
        (own / "site.toml").write_text(text, encoding="utf-8")
    (place / "glucose-real.toml").write_text(STUDY, encoding="utf-8")
    yield Case("glucose-real", place / "glucose-real.toml", place / "sites")


def ridge(cohorts: list[Cohort], half_range: float) -> list[float]:
    """Return each site's RMSE of one ridge regression on all sites' people, every person held out once.

    Args:
        cohorts: of the sites.
        half_range: of the values, in the study's unit.
    """
    squares = np.zeros(len(cohorts))
    for fold in range(FOLDS):
        split = [held_out(cohort, fold) for cohort in cohorts]
        known = [_equations(cohort, cohort.rows("train")) for cohort in split]
        inputs, changes = (np.concatenate(part) for part in zip(*known, strict=True))
        weights = np.linalg.solve(inputs.T @ inputs + np.eye(inputs.shape[1]), inputs.T @ changes)
        for number, cohort in enumerate(split):
            unseen, truth = _equations(cohort, cohort.rows("test"))
            squares[number] += ((unseen @ weights - truth) ** 2).sum()
    counts = np.array([cohort.samples for cohort in cohorts])
    return list(np.sqrt(squares / counts) * half_range)


def _equations(
    cohort: Cohort, rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return windows with a one beside them, `[n, T + 1]`, and the changes that follow, `[n]`."""
    windows = cohort.inputs[rows][:, :, 0].astype(np.float64)
    changes = cohort.targets[rows][:, 0] - windows[:, -1]
    return np.column_stack([windows, np.ones(len(windows))]), changes


def main(data: Path) -> int:
    """Print each study's errors; return 1 if one of them is not below ridge's."""
    with tempfile.TemporaryDirectory() as place:
        (case,) = cases(Path(place), data)
        study = load_study(case.study).without_privacy()
        cohorts = cohorts_of(study, case.hospitals)
        names = [folder.name for folder in sorted(case.hospitals.iterdir())]
    task = build_task(study)
    linear = ridge(cohorts, study.data.half_range)
    tallies = crossed(study, cohorts)
    missed = 0
    print(
        "| study | windows | last value | ridge, same windows | ridge, published | federated | zones A + B |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, tally, own in zip(names, tallies, linear, strict=True):
        found = task.metrics(tally)
        missed += not found["rmse"] < min(own, RIDGE[name])
        shown = (found["baseline_rmse"], own, RIDGE[name], found["rmse"])
        errors = " | ".join(f"{value:.1f}" for value in shown)
        print(
            f"| {name} | {found['count']:.0f} | {errors} | {found['clarke_ab']:.3f} |", flush=True
        )
    return min(1, missed)


if __name__ == "__main__":
    from benchmarks.tasks.__main__ import DATA

    sys.exit(main(DATA))
