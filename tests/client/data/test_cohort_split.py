"""The split, the bound on each patient, and what a cohort must not carry."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data.cohort import Cohort, assemble
from client.data.samples import RawSamples
from client.data.split import declared_splits, is_held_out, place_of
from common.errors import DataError

SECRET = b"s" * 32
NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=12)


def cohort(patients: list[str], most: int | None = None, secret: bytes = SECRET) -> Cohort:
    """Assemble a cohort whose inputs number the raw rows."""
    rows = np.arange(len(patients), dtype=np.float32)[:, None]
    raw = RawSamples(rows, rows[:, 0].astype(np.int64), patients)
    return assemble(raw, secret=secret, test_fraction=0.25, most=most, where="here")


def test_split_is_the_stated_fraction() -> None:
    share = np.mean([is_held_out(SECRET, str(i), 0.25) for i in range(4000)])
    assert abs(share - 0.25) < 0.03


@given(NAMES, st.text(min_size=1))
def test_another_patient_moves_nobody(patients: list[str], newcomer: str) -> None:
    before, after = cohort(patients), cohort([*patients, newcomer])
    place = {
        int(i): bool(before.is_test[p])
        for i, p in zip(before.inputs[:, 0], before.patient, strict=True)
    }
    for row, number in zip(after.inputs[:, 0], after.patient, strict=True):
        assert place.get(int(row), bool(after.is_test[number])) == bool(after.is_test[number])


@given(NAMES, st.integers(1, 3))
def test_patients_are_grouped_disjoint_and_bounded(patients: list[str], most: int) -> None:
    made = cohort(patients, most)
    assert (np.diff(made.patient) >= 0).all()
    assert made.patients == len(set(patients)) == made.train_patients + made.test_patients
    assert np.bincount(made.patient).max() <= most
    assert sorted([*made.rows("train"), *made.rows("test")]) == list(range(made.samples))
    originals = [patients[int(row)] for row in made.inputs[:, 0]]
    assert len(set(zip(originals, made.patient, strict=True))) == made.patients


def test_samples_in_the_cohorts_order_are_not_moved() -> None:
    patients = sorted(map(str, range(30)), key=lambda patient: place_of(SECRET, patient))
    rows = np.arange(30, dtype=np.float32)[:, None]
    for names, most, shared in ((patients, None, True), (patients[::-1], None, False)):
        raw = RawSamples(rows, np.zeros(30, np.int64), names)
        made = assemble(raw, secret=SECRET, test_fraction=0.25, most=most, where="here")
        assert np.shares_memory(made.inputs, rows) == shared
        assert [names[int(row)] for row in made.inputs[:, 0]] == patients


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused_and_an_enormous_one_is_not(bad: float) -> None:
    rows = np.full((4, 1), 3e38, np.float32)
    targets, names = np.zeros(4, np.int64), ["a", "b", "c", "d"]
    assemble(
        RawSamples(rows, targets, names), secret=SECRET, test_fraction=0.25, most=None, where=""
    )
    rows[2] = bad
    with pytest.raises(DataError, match="not numbers"):
        assemble(
            RawSamples(rows, targets, names), secret=SECRET, test_fraction=0.25, most=None, where=""
        )


def test_the_secret_decides_order_and_split() -> None:
    patients = [str(number) for number in range(60)]
    one, other = cohort(patients), cohort(patients, secret=b"t" * 32)
    assert not np.array_equal(one.inputs, other.inputs)
    assert not np.array_equal(one.is_test[one.patient], other.is_test[other.patient])


def test_nothing_in_a_cohort_names_a_patient() -> None:
    made = cohort(["SMITH-0042"] * 3)
    assert b"SMITH" not in pickle.dumps(made)


def test_samples_of_a_patient_are_spread_evenly() -> None:
    assert cohort(["a"] * 9, most=3).inputs[:, 0].tolist() == [0, 4, 8]


def test_nobody_left_says_why() -> None:
    raw = RawSamples(np.zeros((0, 1), np.float32), np.zeros(0, np.int64), [])
    with pytest.raises(DataError, match="No patient can be used"):
        assemble(raw, secret=SECRET, test_fraction=0.2, most=None, where="here")


def test_a_patient_in_two_splits_is_counted_not_named() -> None:
    with pytest.raises(DataError) as caught:
        declared_splits([("SMITH", "train"), ("SMITH", "Test"), ("B", "val")], where="labels.csv")
    assert "1 patient is in two splits" in str(caught.value)
    assert "SMITH" not in str(caught.value)


def test_validation_counts_as_training_and_nonsense_is_refused() -> None:
    assert declared_splits([("a", " VAL "), ("b", "test")], where="") == {"a": "train", "b": "test"}
    with pytest.raises(DataError, match="1 rows have a split"):
        declared_splits([("a", "holiday")], where="")
