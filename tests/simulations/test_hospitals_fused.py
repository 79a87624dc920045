"""Generated patients with film, ECG and record: each tells a part of what happens, and many lack one."""

from __future__ import annotations

import numpy as np
import pytest

from client.data.cohort import Cohort
from client.data.prepare import prepare
from client.site import load_site
from common.data_spec import FusedSpec
from common.study_file import load_study
from simulations.bundled import study_path
from simulations.hospitals import create
from simulations.hospitals.fused import NAME, draw_film, draw_record

PATIENTS = 16


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> list[Cohort]:
    folder = tmp_path_factory.mktemp("fused") / "hospitals"
    sites = create(folder, sites=4, patients=PATIENTS, seed=3, archives=[NAME], workers=1)
    spec = load_study(study_path("fused-risk")).data
    return [prepare(load_site(site), spec, ("out", "in"), b"s" * 32) for site in sites]


def test_the_studys_source_reads_them_all(cohorts: list[Cohort]) -> None:
    spec = load_study(study_path("fused-risk")).data
    assert isinstance(spec, FusedSpec)
    for number, cohort in enumerate(cohorts):
        assert cohort.patients == PATIENTS
        assert cohort.quarantine.total == 0
        assert cohort.inputs.shape[1:] == spec.model_shape
        there = {p.name: cohort.inputs[:, p.flag].mean() for p in spec.layout}
        assert there["record"] == 1
        assert 0.2 < there["film"] <= 1
        assert there["ecg"] == 0 if number == 2 else 0.3 < there["ecg"] <= 1
        assert 0.1 < cohort.targets.mean() < 0.9
    assert any("'film'" in note for cohort in cohorts for note in cohort.notes)


def test_a_larger_heart_is_broader_on_the_film() -> None:
    def brightness(size: float) -> float:
        films = [draw_film(np.random.default_rng(seed), size)[20:26] for seed in range(10)]
        return float(np.mean(films))

    assert brightness(-2.0) < brightness(0.0) < brightness(2.0)


@pytest.mark.parametrize("shown", ["size", "ectopy", "record"])
def test_each_part_tells_something_of_the_admission(shown: str) -> None:
    rng = np.random.default_rng(1)
    rows = []
    for _ in range(2000):
        size, ectopy = float(rng.normal()), bool(rng.random() < 0.4)
        record = draw_record(rng, size, ectopy, 0.0)
        told = {"size": size, "ectopy": float(ectopy), "record": record["log_nt_probnp"]}
        rows.append((told[shown], record["admitted"]))
    assert 0.25 < np.corrcoef(np.array(rows).T)[0, 1] < 0.75
