"""Generated chests with findings: the images show what is said, and every hospital leaves something unsaid."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from client.data.prepare import prepare
from client.site import load_site
from common.study_file import load_study
from common.tasks import build_task
from simulations.bundled import study_path
from simulations.hospitals import create
from simulations.hospitals.chest_findings import FINDINGS, NAME, draw_chest

PATIENTS = 20
NONE = dict.fromkeys(FINDINGS, False)


def test_findings_are_present_absent_or_unsaid(tmp_path: Path) -> None:
    sites = create(tmp_path / "h", sites=3, patients=PATIENTS, seed=3, archives=[NAME], workers=1)
    study = load_study(study_path(NAME))
    found = []
    for site in sites:
        classes = build_task(study).classes
        cohort = prepare(load_site(site), study.data, classes, b"s" * 32)
        assert cohort.targets.shape == (PATIENTS, len(FINDINGS))
        assert set(np.unique(cohort.targets)) == {-1.0, 0.0, 1.0}
        found.append(cohort.targets)
    assert [bool((each[:, 3] == -1).all()) for each in found] == [False, False, True]
    assert all(0.02 < (each[:, :3] == -1).mean() < 0.4 for each in found)


def test_hospitals_write_what_is_unsaid_in_their_own_way(tmp_path: Path) -> None:
    sites = create(tmp_path / "h", sites=2, patients=PATIENTS, seed=3, archives=[NAME], workers=1)
    words = []
    for site in sites:
        with site.joinpath(NAME, "labels.csv").open() as file:
            rows = list(csv.DictReader(file))
        words.append({row[name] for row in rows for name in FINDINGS})
    assert words == [{"1", "0", ""}, {"1", "0", "-1"}]


@pytest.mark.parametrize(
    ("finding", "brighter"),
    [("nodule", True), ("effusion", True), ("consolidation", True), ("emphysema", False)],
)
def test_a_finding_changes_the_lungs(finding: str, brighter: bool) -> None:
    changes = []
    for seed in range(6):
        well, ill = (
            draw_chest(np.random.default_rng(seed), {**NONE, finding: there}, 2.5)
            for there in (False, True)
        )
        assert well.shape == ill.shape == (1, 96, 96)
        assert np.isfinite(ill).all()
        changes.append(float(ill.mean() - well.mean()))
    assert (np.mean(changes) > 0) == brighter
    assert abs(np.mean(changes)) > 2
