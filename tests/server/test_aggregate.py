"""The streaming mean: Flower's own figures to the last bit, piece by piece, from memory or from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
from hypothesis import given, settings
from hypothesis import strategies as st

from server import aggregate
from server.aggregate import weighted_mean

patients = st.lists(st.integers(1, 10**6), min_size=1, max_size=8)


def flower(weights: list[float], vectors: list[np.ndarray]) -> np.ndarray:
    records = [
        RecordDict(
            {
                "weights": ArrayRecord({"flat": Array(vector)}),
                "metrics": MetricRecord({"weight": weight}),
            }
        )
        for weight, vector in zip(weights, vectors, strict=True)
    ]
    return aggregate_arrayrecords(records, "weight")["flat"].numpy()


def awkward(count: int, size: int, seed: int) -> list[np.ndarray]:
    """Values of very different sizes, so that every order and every rounding shows."""
    random = np.random.default_rng(seed)
    scale = 10.0 ** random.integers(-20, 6, (count, size))
    return list((random.standard_normal((count, size)) * scale).astype(np.float32))


@settings(deadline=None)
@given(
    declared=patients, size=st.integers(0, 50), seed=st.integers(0, 999), piece=st.integers(1, 60)
)
def test_it_is_flowers_mean_bit_by_bit(
    declared: list[int], size: int, seed: int, piece: int
) -> None:
    weights = [float(each) for each in declared]
    vectors = awkward(len(weights), size, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregate, "PIECE", piece)
        mean = weighted_mean(weights, vectors)
    assert mean.dtype == np.float32
    assert mean.tobytes() == flower(weights, vectors).tobytes()


def test_one_vector_of_any_weight_stays_itself() -> None:
    (vector,) = awkward(1, 1000, 3)
    assert weighted_mean([3.0], [vector]).tobytes() == vector.tobytes()


def test_files_give_the_same_mean_and_are_not_changed(tmp_path: Path) -> None:
    vectors, weights = awkward(5, 3 * aggregate.PIECE // 2, 1), [1.0, 7.0, 2.0, 9.0, 3.0]
    mapped = []
    for number, vector in enumerate(vectors):
        vector.tofile(tmp_path / str(number))
        mapped.append(np.memmap(tmp_path / str(number), dtype=np.float32, mode="r"))
    mean = weighted_mean(weights, mapped)
    assert type(mean) is np.ndarray
    assert mean.tobytes() == weighted_mean(weights, vectors).tobytes()
    assert all((tmp_path / str(n)).read_bytes() == v.tobytes() for n, v in enumerate(vectors))
