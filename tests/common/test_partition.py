"""Partitioners: every row once, the skew that was asked for, the same parts for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import StudyError
from common.partition import by_column, dirichlet, iid


def assert_whole(parts: list[np.ndarray], rows: int) -> None:
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(rows))


@given(st.integers(1, 8), st.integers(0, 200), st.integers(0, 2**32))
def test_iid_parts_hold_every_row_once_and_are_even(sites: int, more: int, seed: int) -> None:
    parts = iid(sites + more, sites, seed=seed)
    assert_whole(parts, sites + more)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(
        np.array_equal(a, b)
        for a, b in zip(parts, iid(sites + more, sites, seed=seed), strict=True)
    )


@given(st.integers(1, 5), st.floats(0.3, 50), st.integers(0, 2**32))
def test_dirichlet_parts_hold_every_row_once(sites: int, alpha: float, seed: int) -> None:
    labels = np.arange(120) % 4
    parts = dirichlet(labels, sites, alpha=alpha, seed=seed)
    assert_whole(parts, 120)
    assert min(map(len, parts)) >= 1


def test_small_alpha_skews_labels_more_than_large() -> None:
    labels = np.arange(4000) % 5

    def spread(alpha: float) -> float:
        parts = dirichlet(labels, 5, alpha=alpha, seed=1)
        shares = [np.bincount(labels[part], minlength=5) / len(part) for part in parts]
        return float(np.std(shares))

    assert spread(0.1) > 5 * spread(100.0)


def test_a_column_makes_a_site_of_each_value() -> None:
    parts = by_column(["south", "north", "south"])
    assert list(parts) == ["south", "north"]
    assert parts["south"].tolist() == [0, 2]


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(StudyError, match="cannot be cut"):
        iid(3, 4, seed=0)
    with pytest.raises(StudyError, match="alpha is 0"):
        dirichlet([0, 1], 2, alpha=0, seed=0)
    with pytest.raises(StudyError, match="No draw"):
        dirichlet([0, 0, 1, 1], 4, alpha=0.01, seed=0, tries=3)
