"""Cross-validation in the benchmarks: everybody who trains is held out once, and no test patient takes part."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from client.data.cohort import Cohort

FILE = Path(__file__).parents[1] / "benchmarks" / "tasks" / "folds.py"


@pytest.fixture(scope="module")
def folds() -> ModuleType:
    """The module, from its file: an installed package is called `benchmarks`, too."""
    spec = importlib.util.spec_from_file_location("folds_of_benchmarks", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cohort(patients: int = 23) -> Cohort:
    """Patients with two samples each, whose values are their numbers; every fourth is for the test."""
    patient = np.repeat(np.arange(patients), 2)
    return Cohort(
        inputs=patient[:, None].astype(np.float32),
        targets=patient % 2,
        patient=patient,
        is_test=np.arange(patients) % 4 == 0,
        split_id="declared",
        groups=np.arange(patients)[:, None],
    )


def test_test_patients_are_in_no_fold(folds: ModuleType) -> None:
    whole = cohort()
    kept = folds.without_held_out(whole)
    expected = np.flatnonzero(~whole.is_test)
    assert kept.patients == len(expected) == kept.train_patients
    assert np.array_equal(np.unique(kept.inputs), expected)
    assert np.array_equal(kept.groups[:, 0], expected)
    first = kept.inputs[np.searchsorted(kept.patient, np.arange(kept.patients))]
    assert np.array_equal(first[:, 0], expected), "patients are numbered anew, without gaps"


@pytest.mark.parametrize("seed", [None, 3])
def test_everybody_is_held_out_once(folds: ModuleType, seed: int | None) -> None:
    whole = cohort()
    times = sum(folds.held_out(whole, fold, seed).is_test.astype(int) for fold in range(5))
    assert np.array_equal(times, np.ones(whole.patients))


def test_a_seed_makes_other_folds(folds: ModuleType) -> None:
    made = [folds.held_out(cohort(), 0, seed).is_test for seed in (None, 3, 3, 4)]
    assert np.array_equal(made[1], made[2])
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[1], made[3])
