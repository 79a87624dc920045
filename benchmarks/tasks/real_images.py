"""MedMNIST's ultrasound and radiographs at four hospitals of unlike patients, by the files' own splits.

Networks, rates and rounds are chosen without a look at the test images: `python -m benchmarks.tasks.real_images
--only breast-mnist --seeds 2` cross-validates the study's federated training, without privacy, on all others.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tasks.case import Case
from benchmarks.tasks.folds import crossed, without_held_out
from benchmarks.tasks.places import cohorts_of
from client.data.parts import LEAST_SHARE
from common.partition import dirichlet
from common.study_file import load_study
from common.tasks import build_task

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FILES = {
    "breast-mnist": ("breastmnist.npz", 0.88),
    "pneumonia-mnist": ("pneumoniamnist_rebuilt.npz", 0.94),
}
"""File, and the AUC that is to be reached without privacy."""
SITES, ALPHA = 4, 0.5
SITE = """\
[site]
name = "hospital-{number}"

[data]
kind = "arrays"
path = "{path}"
part = "{number}/{sites}"
part_alpha = {alpha}
declared_patients = {patients}

[policy]
max_epsilon = 8.0
delta = 1e-3
min_patients = 10
statistics = "exact"
allow_non_private = true
"""


def cases(folder: Path, data: Path) -> Iterator[Case]:
    """Yield the studies, their hospitals written below `folder`.

    Args:
        folder: where to write.
        data: the folder of real data.
    """
    for name, (file, target) in FILES.items():
        hospitals = write_hospitals(folder / name, data / "medmnist" / file)
        yield Case(name, EXAMPLES / f"{name}.toml", hospitals, target)


def write_hospitals(folder: Path, path: Path) -> Path:
    """Write the sites' settings; each states the size of its part."""
    with np.load(path) as archive:
        labels = [archive[f"{split}_labels"].reshape(-1) for split in ("train", "val", "test")]
    for number, patients in enumerate(sizes(np.concatenate(labels)), start=1):
        place = folder / f"hospital-{number}"
        place.mkdir(parents=True, exist_ok=True)
        text = SITE.format(
            number=number, path=path, sites=SITES, alpha=ALPHA, patients=round(patients, -1)
        )
        (place / "site.toml").write_text(text, encoding="utf-8")
    return folder


def sizes(labels: NDArray[np.integer[Any]]) -> list[int]:
    """Return how many patients each site's part has: the draw's sizes follow from the classes' counts alone."""
    least = int(LEAST_SHARE * len(labels) / SITES)
    return [len(part) for part in dirichlet(labels, SITES, alpha=ALPHA, seed=0, least=least)]


def cross_validated(case: Case, seed: int) -> list[float]:
    """Return the headline of every fold of the images that are not for the test, over the patients of all sites."""
    study = load_study(case.study).without_privacy()
    cohorts = [without_held_out(cohort) for cohort in cohorts_of(study, case.hospitals)]
    task = build_task(study)
    totals = [sum(tallies[1:], tallies[0]) for tallies in crossed(study, cohorts, seed)]
    return [float(task.metrics(total)[task.headline]) for total in totals]


def main(data: Path) -> None:
    """Print the folds' figures, and their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=FILES, required=True)
    parser.add_argument("--seeds", type=int, default=1, help="how often, each time in other folds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        (case,) = (c for c in cases(Path(place), data) if c.name == options.only)
        for seed in range(options.seeds):
            found = cross_validated(case, seed)
            folds = ", ".join(f"{value:.3f}" for value in found)
            print(f"seed {seed}: {np.mean(found):.3f} ({folds})", flush=True)


if __name__ == "__main__":
    from benchmarks.tasks.__main__ import DATA

    main(DATA)
