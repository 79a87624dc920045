"""Generated electrocardiograms: genuine WFDB, and rhythms that are what their labels say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from client.data.config import SignalDataset
from client.data.signals.source import SignalSource
from common.study_file import load_study
from simulations.bundled import study_path
from simulations.hospitals import create
from simulations.hospitals.ecg_waves import (
    ATRIAL,
    ESCAPE,
    LEADS,
    RHYTHMS,
    VENTRICULAR,
    draw_beats,
    draw_heart,
    draw_signal,
)


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ecg") / "hospitals"
    create(folder, sites=4, patients=12, seed=3, archives=["ecg"], workers=1)
    return folder


@pytest.mark.parametrize("site", ["hospital-1", "hospital-3"])
def test_the_studys_source_reads_every_recording_in_millivolts(hospitals: Path, site: str) -> None:
    folder = hospitals / site / "ecg"
    study = load_study(study_path("ecg-rhythm"))
    labels = pd.read_csv(folder / "labels.csv", dtype=str)
    dataset = SignalDataset(
        kind="signals",
        path=folder / "records",
        labels=folder / "labels.csv",
        declared_patients=12,
    )
    raw = SignalSource().load(dataset, study.data, study.task.options["classes"])
    assert raw.quarantine.total == 0
    assert raw.inputs.shape == (2 * len(labels), 500, 3)  # ten seconds are two windows of five
    assert set(raw.patients) == set(labels["patient_id"])
    peaks = 2 * np.abs(raw.inputs[..., 1]).max(1)  # lead II; the study's range is ±2 mV
    assert 0.5 < np.median(peaks) <= 2
    assert set(raw.targets.tolist()) == set(range(len(RHYTHMS)))


def test_patients_have_one_rhythm_and_one_or_two_recordings(hospitals: Path) -> None:
    labels = pd.read_csv(hospitals / "hospital-2/ecg/labels.csv", dtype=str)
    by_patient = labels.groupby("patient_id")
    assert (by_patient["label"].nunique() == 1).all()
    assert set(by_patient.size()) == {1, 2}
    assert len(by_patient) == 12


def intervals(rhythm: str, seed: int, seconds: float = 60.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    beats = draw_beats(rhythm, draw_heart(rng), rng, seconds)
    return np.diff(sorted(moment for moment, waves in beats if waves != ATRIAL))


def test_intervals_are_those_of_the_rhythm() -> None:
    spread = {
        r: np.mean([intervals(r, s).std() / intervals(r, s).mean() for s in range(20)])
        for r in RHYTHMS
    }
    assert spread["sinus"] < 0.1 < spread["atrial-fibrillation"]
    assert spread["ventricular-ectopy"] > 0.15
    slow = [60 / intervals("av-block", seed).mean() for seed in range(20)]
    assert np.mean(slow) < 0.75 * np.mean([60 / intervals("sinus", s).mean() for s in range(20)])


def test_only_atria_that_beat_have_atrial_waves() -> None:
    rng = np.random.default_rng(0)
    heart = draw_heart(rng)
    seen = {r: {w for _, waves in draw_beats(r, heart, rng, 10) for w in waves} for r in RHYTHMS}
    assert not seen["atrial-fibrillation"] & set(ATRIAL)
    assert seen["sinus"] == set(ATRIAL) | set(VENTRICULAR)
    assert seen["av-block"] & set(ATRIAL)
    assert seen["av-block"] & (set(ESCAPE) | set(VENTRICULAR))


def test_a_signal_has_its_rate_and_leads() -> None:
    rng = np.random.default_rng(1)
    signal = draw_signal("sinus", draw_heart(rng), rng, seconds=10.0, rate_hz=257)
    assert signal.shape == (2570, len(LEADS))
    assert np.isfinite(signal).all()
