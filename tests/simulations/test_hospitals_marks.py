"""Generated hospitals with marked nodules: cohorts whose points lie on something bright in the lungs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from client.data.prepare import prepare
from client.site import load_site
from common.study_file import load_study
from simulations.bundled import study_path
from simulations.hospitals import create, mass_marks, nodule_marks, nodule_volumes

PATIENTS = 8


def test_points_lie_on_nodules(tmp_path: Path) -> None:
    archives = ["nodule-detection"]
    create(tmp_path / "h", sites=2, patients=PATIENTS, seed=3, archives=archives, workers=1)
    study = load_study(study_path("nodule-detection"))
    counts = []
    for name in ("hospital-1", "hospital-2"):
        cohort = prepare(load_site(tmp_path / "h" / name), study.data, None, b"s" * 32)
        assert cohort.inputs.shape == (PATIENTS, 1, 64, 64)
        assert cohort.targets.shape == (PATIENTS, 3, 3)
        counts += (cohort.targets[..., -1] > 0).sum(axis=1).tolist()
        lung = np.quantile(cohort.inputs, 0.4)
        for image, points in zip(cohort.inputs[:, 0], cohort.targets, strict=True):
            for row, column, size in points[points[:, -1] > 0]:
                assert image[int(row * 64), int(column * 64)] > lung + 0.1
                assert 2 < size * 64 < 6.5
    assert min(counts) == 0
    assert max(counts) > 1


@pytest.mark.parametrize("seed", range(4))
def test_nodules_do_not_touch(seed: int) -> None:
    chest, nodules = nodule_marks.draw_chest(np.random.default_rng(seed), 2.5)
    assert chest.shape == (2, 96, 96)
    for number, one in enumerate(nodules):
        for other in nodules[:number]:
            assert np.linalg.norm(one.centre - other.centre) > one.radius + other.radius


def test_points_lie_on_nodules_of_volumes(tmp_path: Path) -> None:
    archives = ["nodule-volumes"]
    create(tmp_path / "h", sites=1, patients=PATIENTS, seed=3, archives=archives, workers=1)
    study = load_study(study_path("nodule-detection-3d"))
    cohort = prepare(load_site(tmp_path / "h/hospital-1"), study.data, None, b"s" * 32)
    assert cohort.inputs.shape == (PATIENTS, 1, 16, 32, 32)
    assert cohort.targets.shape == (PATIENTS, 2, 4)
    counts = (cohort.targets[..., -1] > 0).sum(axis=1)
    assert counts.min() == 0
    assert counts.max() >= 1
    for image, points in zip(cohort.inputs[:, 0], cohort.targets, strict=True):
        for *place, size in points[points[:, -1] > 0]:
            voxel = tuple((np.array(place) * image.shape).astype(int).tolist())
            assert image[voxel] > np.median(image) + 0.3
            assert 8.0 <= size * 32 * 2.0 <= 18.0


def test_who_is_ill_has_a_mass_where_the_point_is(tmp_path: Path) -> None:
    archives = ["mass-localisation"]
    create(tmp_path / "h", sites=1, patients=PATIENTS, seed=3, archives=archives, workers=1)
    study = load_study(study_path("mass-localisation"))
    cohort = prepare(load_site(tmp_path / "h/hospital-1"), study.data, None, b"s" * 32)
    assert cohort.inputs.shape == (PATIENTS, 1, 40, 40)
    ill = cohort.targets[:, 0, -1] > 0
    assert ill.sum() == PATIENTS // 2
    for image, (row, column, _) in zip(cohort.inputs[ill, 0], cohort.targets[ill, 0], strict=True):
        assert image[int(row * 40), int(column * 40)] > np.median(image) + 0.2


@pytest.mark.parametrize("seed", range(3))
def test_volumes_keep_nodules_apart(seed: int) -> None:
    volume, nodules = nodule_volumes.draw_lung(np.random.default_rng(seed), 2.5)
    assert volume.shape == (18, 32, 32)
    middles = [nodule.centre for nodule in nodules]
    if len(middles) == 2:
        assert np.linalg.norm(middles[0] - middles[1]) > nodule_volumes.APART_MM
    assert mass_marks.draw_lung(np.random.default_rng(seed), 2.5, ill=False)[1] is None
