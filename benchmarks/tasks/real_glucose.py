"""Real glucose: half an hour ahead, five public studies of type-1 diabetes as five sites.

A few people a site make one split a matter of luck (two held-out people at one of them). `python -m
benchmarks.tasks.real_glucose` therefore holds every person out once, in five folds, and trains federated five times. It
prints each study's error beside the last value's and beside that of one ridge regression on the people of all studies
together, which sees the very same windows. Network, rate and rounds were chosen on the people of the first fold, by
models that never saw them; so the figures are given without these people, too.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.tasks.case import Case
from benchmarks.tasks.folds import FOLDS, crossed
from benchmarks.tasks.places import cohorts_of
from benchmarks.tasks.ridge import Floats, ridge
from common.study_file import load_study
from common.tasks import build_task
from common.tasks.base import Tally, Task

PEOPLE = {"AZT1D": 25, "Bris-T1D-Open": 20, "HUPA-UCM": 25, "T1D-UOM": 17, "PhysioCGM": 9}
"""Study: how many people it has."""
RIDGE = {"AZT1D": 22.4, "Bris-T1D-Open": 24.4, "HUPA-UCM": 17.6, "T1D-UOM": 21.2, "PhysioCGM": 21.0}
"""Study: the RMSE in mg/dL to stay below, of a ridge regression that was fitted before, on windows of its own."""
HEAD = """\
| study | windows | last value | ridge, same windows | federated | ridge, published | zones A + B |
|---|---|---|---|---|---|---|"""

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
name = "series-mlp"
hidden = [128, 128]
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

[training.schedule]
name = "cosine"

[training.without_privacy]
learning_rate = 0.003
local_steps = 200
batch_size = 256

[privacy]
epsilon = 8.0
delta = 1e-2
clip_norm = 0.02
sampling_rate = "1/2"
samples_per_patient = 16

[federation]
rounds = 60
min_sites = 5
deadline_seconds = 3600

[evaluation]
per = "sample"
every = 60
"""


@dataclass(frozen=True)
class Fold:
    """What came of one fold's people: each site's tally, and ridge's sums of squared errors, `[sites]`."""

    tallies: list[Tally]
    ridge: Floats


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


def table(task: Task, known: list[Fold], half_range: float, published: bool) -> tuple[str, bool]:
    """Return the table of some folds' people, and whether every study is below ridge.

    Args:
        task: forecasting.
        known: the folds.
        half_range: of the values, in mg/dL.
        published: compare with `RIDGE`, too: it was fitted on all people.
    """
    lines, below = [HEAD], True
    for number, (name, asked) in enumerate(sorted(RIDGE.items())):
        tallies = [fold.tallies[number] for fold in known]
        found = task.metrics(sum(tallies[1:], tallies[0]))
        squares = sum(fold.ridge[number] for fold in known)
        linear = float(np.sqrt(squares / found["count"]) * half_range)
        below &= found["rmse"] < min(linear, asked if published else linear)
        errors = (found["baseline_rmse"], linear, found["rmse"])
        shown = " | ".join(f"{value:.2f}" for value in errors)
        asked_for = f"{asked:.1f}" if published else "–"
        lines.append(
            f"| {name} | {found['count']:.0f} | {shown} | {asked_for} | {found['clarke_ab']:.3f} |"
        )
    return "\n".join(lines), bool(below)


def main(data: Path) -> int:
    """Print each study's errors; return 1 if one of them is not below ridge's."""
    with tempfile.TemporaryDirectory() as place:
        (case,) = cases(Path(place), data)
        study = load_study(case.study).without_privacy()
        cohorts = cohorts_of(study, case.hospitals)
    task = build_task(study)
    known = []
    for tallies, squares in zip(crossed(study, cohorts), ridge(cohorts), strict=True):
        known.append(Fold(tallies, squares))
        print(f"fold {len(known)} of {FOLDS}", file=sys.stderr, flush=True)
    unseen, better = table(task, known[1:], study.data.half_range, published=False)
    everybody, below = table(task, known, study.data.half_range, published=True)
    print(f"People of whom nothing was chosen:\n\n{unseen}\n\nEverybody:\n\n{everybody}")
    return int(not (better and below))


if __name__ == "__main__":
    from benchmarks.tasks.__main__ import DATA

    sys.exit(main(DATA))
