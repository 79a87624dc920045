"""Choices among images: by class and by patient."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs

from client.synthesis.groups import as_common_as, chosen_by_class

RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ([0, 1, 1, 1], [13, 40]),
        ([1, 1], [0, 40]),
        ([0], [40, 0]),
        ([0, 1] * 3, [40, 40]),
        ([0, 2], [40, 0, 20]),
    ],
)
def test_classes_become_as_common_as_wanted(wanted: list[int], expected: list[int]) -> None:
    labels = np.repeat([0, 1, 2], [40, 40, 0 if len(expected) < 3 else 40])
    if len(expected) == 3:
        expected[2] = 40
    rows = as_common_as(np.array(wanted), labels, RNG)
    found = np.bincount(labels[rows], minlength=len(expected))
    assert found.tolist() == expected
    assert len(set(rows)) == len(rows)


def test_all_of_a_class_where_fewer_are_there() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0])
    rows = chosen_by_class(labels, np.array([2, 9]), RNG)
    assert np.bincount(labels[rows]).tolist() == [2, 3]
    assert (np.diff(rows) > 0).all()


def test_patients_come_with_all_their_images() -> None:
    some = blobs(60, 2, each=3).of_patients(5, RNG)
    assert np.unique(some.patients, return_counts=True)[1].tolist() == [3] * 5
    assert len(some) == 15
