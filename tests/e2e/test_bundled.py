"""The bundled studies run by name, on tiny generated hospitals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from processes import run_forked
from tiny_hospitals import files_below

from common.study_file import load_study
from common.tasks import build_task
from simulations.bundled import bundled_names, recipe_for, study_path
from simulations.hospitals import create

EXPECTED = (
    "chest-findings",
    "chest-reports",
    "ecg-rhythm",
    "fused-risk",
    "glucose",
    "heart",
    "lung-ct-5class",
    "lung-nodule",
    "lung-segmentation",
    "mass-localisation",
    "molecule-solubility",
    "nodule-detection",
    "nodule-detection-3d",
    "nodule-segmentation",
    "nodule-synthesis",
    "sepsis-policy",
    "visits-risk",
    "visits-survival",
)
LONG = (
    "lung-segmentation",
    "mass-localisation",
    "nodule-detection-3d",
    "nodule-segmentation",
    "nodule-synthesis",
)
"""Studies of images that `make test-deployment` runs; every run of the suite looks at their files."""
NEEDED = {"molecule-solubility": "rdkit"}
"""Packages of extras without which a study cannot run."""
SHORT = ("federation.rounds=2", "training.local_steps=2", "evaluation.compare_non_private=false")
LOOSE = ("privacy.noise_multiplier=4.0", "privacy.sampling_rate=1/8")
RUN_KEYS = "study fingerprint final non_private sites rounds seconds device versions seed"
SITE_KEYS = "patients samples quarantined steps sigma epsilon delta bytes_sent"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.deployment if n in LONG else []) for n in EXPECTED]
)
def test_a_bundled_study_runs_by_name(name: str, tmp_path: Path) -> None:
    if name in NEEDED:
        pytest.importorskip(NEEDED[name], reason="needs an extra of consilium")
    study, recipe = load_study(study_path(name)), recipe_for(study_path(name))
    assert recipe is not None
    folders = create(
        tmp_path / "hospitals", sites=2, patients=24, seed=1, archives=[recipe.archive], workers=1
    )
    _allow_little_data(folders)
    overrides = [*SHORT, *(LOOSE if study.privacy.enabled else ())]
    words = [word for override in overrides for word in ("--set", override)]
    run = tmp_path / "run"
    ended = run_forked(
        *("simulate", name, "--hospitals", tmp_path / "hospitals", "--run", run, *words),
        cwd=tmp_path,
    )
    assert ended.code == 0, ended.text

    metrics = json.loads((run / "metrics.json").read_text(), parse_constant=_refuse)
    assert set(RUN_KEYS.split()) <= set(metrics)
    assert metrics["study"] == name
    assert build_task(study).headline in metrics["final"]
    sites = [folder.name for folder in folders]
    assert list(metrics["sites"]) == sites
    for site in metrics["sites"].values():
        assert set(SITE_KEYS.split()) <= set(site)
        assert site["patients"] > 0
    found = set(files_below(run))
    assert {"model.safetensors", "study.toml", "rounds.jsonl", "report.html"} <= found
    assert {f"ledgers/{site}.ledger" for site in sites} <= found
    lines = (run / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=_refuse)["round"] for line in lines] == [1, 2]
    assert run_forked("audit", "ledger", run, cwd=tmp_path).code == 0


def _allow_little_data(folders: list[Path]) -> None:
    """So few patients are below the generated policy's minimum, and cost more than its budget."""
    import re

    for folder in folders:
        file = folder / "site.toml"
        text = re.sub(r"(?m)^min_patients = .*$", "min_patients = 1", file.read_text())
        file.write_text(re.sub(r"(?m)^max_epsilon = .*$", "max_epsilon = 100.0", text))


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("name", EXPECTED)
def test_a_bundled_study_is_whole(name: str) -> None:
    path = study_path(name)
    recipe = recipe_for(path)
    assert recipe is not None
    assert load_study(path).name == name
    assert bundled_names() == list(EXPECTED)
    assert recipe.sites >= load_study(path).federation.min_sites
