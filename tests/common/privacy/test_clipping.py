"""Clipping: whatever the style, no unit passes C."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from common.privacy.clipping import STABILITY, Clipping, Style

NORMS = st.floats(0.0, 1e6, allow_nan=False)


@given(
    norms=st.lists(st.lists(NORMS, min_size=3, max_size=3), min_size=1, max_size=5),
    bound=st.floats(1e-3, 1e3),
    style=st.sampled_from(["flat", "per-layer", "automatic"]),
)
def test_no_unit_passes_the_bound(norms: list[list[float]], bound: float, style: Style) -> None:
    squares = torch.tensor(norms, dtype=torch.float64).t() ** 2  # three parameters of two layers
    factors = Clipping(bound, style).factors(squares, [0, 0, 1])
    assert factors.shape == squares.shape
    after = (squares * factors**2).sum(0).sqrt()
    assert bool((after <= bound * (1 + 1e-9)).all())


def test_flat_leaves_small_gradients_alone_and_keeps_directions() -> None:
    squares = torch.tensor([[9.0, 0.01], [16.0, 0.02]], dtype=torch.float64)
    factors = Clipping(1.0).factors(squares, [0, 1])
    assert factors[0, 0] == factors[1, 0] == pytest.approx(0.2, rel=1e-5)
    assert factors[:, 1].tolist() == [1.0, 1.0]


def test_per_layer_shares_the_bound_among_layers() -> None:
    squares = torch.tensor([[9.0], [16.0], [1e-6]], dtype=torch.float64)
    factors = Clipping(2.0, "per-layer").factors(squares, [0, 0, 1])
    assert factors[0, 0] == factors[1, 0] == pytest.approx(2.0 / 2**0.5 / 5.0, rel=1e-5)
    assert factors[2, 0] == 1.0


def test_automatic_normalises_small_gradients_too() -> None:
    squares = torch.tensor([[1e-4, 1e4]], dtype=torch.float64)
    factors = Clipping(1.0, "automatic").factors(squares, [0])
    expected = [1 / (0.01 + STABILITY), 1 / (100 + STABILITY)]
    assert factors[0].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("style", ["flat", "per-layer", "automatic"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_unit_that_is_not_finite_gets_factor_zero(style: Style, bad: float) -> None:
    squares = torch.tensor([[1.0, bad], [1.0, 1.0]], dtype=torch.float64)
    factors = Clipping(1.0, style).factors(squares, [0, 1])
    assert factors[:, 1].tolist() == [0.0, 0.0]
    assert bool((factors[:, 0] > 0).all())
