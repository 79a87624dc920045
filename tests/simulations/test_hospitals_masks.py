"""Generated hospitals with outlined structures: SEG at some, NIfTI at others, and cohorts that agree with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.data.cohort import Cohort
from client.data.prepare import prepare
from client.site import load_site
from common.study_file import load_study
from simulations.bundled import study_path
from simulations.hospitals import create, lung_masks, nodule_masks
from simulations.hospitals.scanner import SCANNERS

PATIENTS = 5


def cohorts(folder: Path, name: str) -> list[Cohort]:
    sites = create(folder, sites=2, patients=PATIENTS, seed=3, archives=[name], workers=1)
    study = load_study(study_path(name))
    return [prepare(load_site(site), study.data, None, b"s" * 32) for site in sites]


def test_both_formats_give_masks_on_the_images(tmp_path: Path) -> None:
    for cohort in cohorts(tmp_path / "h", "lung-segmentation"):
        assert cohort.patients == PATIENTS
        images, masks = cohort.inputs[:, 0], cohort.targets
        assert set(np.unique(masks)) == {0, 1, 2}
        lungs, outside = images[masks == 1].mean(), images[masks == 0].mean()
        assert lungs < outside - 0.1, "lungs hold air"
        assert images[masks == 2].mean() > lungs + 0.5, "nodules do not"
        for mask in masks:
            half = mask.shape[1] // 2
            assert (mask[:, :half] == 1).sum() > 100 < (mask[:, half:] == 1).sum(), "one a side"


def test_volumes_hold_one_nodule_near_their_middle(tmp_path: Path) -> None:
    for cohort in cohorts(tmp_path / "h", "nodule-segmentation"):
        assert cohort.inputs.shape == (PATIENTS, 1, 16, 32, 32)
        for image, mask in zip(cohort.inputs[:, 0], cohort.targets, strict=True):
            away = np.argwhere(mask == 1).mean(0) - (np.array(mask.shape) - 1) / 2
            assert np.abs(away).max() < 6
            assert image[mask == 1].mean() > image[mask == 0].mean() + 0.3


def test_the_same_recipe_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        create(folder, sites=2, patients=2, seed=3, archives=["lung-segmentation"], workers=1)
    files = [path.relative_to(folders[0]) for path in folders[0].rglob("*") if path.is_file()]
    assert sum("masks" in path.parts for path in files) == 4
    assert all((folders[0] / f).read_bytes() == (folders[1] / f).read_bytes() for f in files)


@pytest.mark.parametrize("seed", range(3))
def test_nodules_lie_in_the_lungs(seed: int) -> None:
    chest, masks = lung_masks.draw_chest(np.random.default_rng(seed), 2.5)
    assert chest.shape == masks.shape
    case = nodule_masks.draw_case(np.random.default_rng(seed), SCANNERS[seed])
    assert case.volume.shape == case.mask.shape
    assert 30 < case.mask.sum() < case.mask.size / 4
