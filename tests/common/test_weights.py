"""Packed weights: the same values come back, and nothing of another layout is let in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.errors import PolicyError
from common.weights import (
    Layout,
    digest,
    from_bfloat16,
    pack,
    rounded,
    to_bfloat16,
    unpack,
)

shapes = st.lists(st.lists(st.integers(0, 4), max_size=3).map(tuple), max_size=5)


@given(shapes=shapes, seed=st.integers(0, 99))
def test_packing_and_unpacking_is_the_identity(shapes: list[tuple[int, ...]], seed: int) -> None:
    torch.manual_seed(seed)
    state = {f"layer.{n}": torch.randn(shape) for n, shape in enumerate(shapes)}
    layout, vector = Layout.of(state), pack(state)
    assert vector.dtype == np.float32
    assert vector.shape == (layout.size,)
    back = unpack(vector, layout)
    assert list(back) == list(state)
    assert all(torch.equal(back[name], value) for name, value in state.items())
    assert digest(pack(back)) == digest(vector)


def test_packed_values_are_a_copy() -> None:
    state = {"a": torch.ones(3)}
    vector = pack(state)
    state["a"] += 1
    back = unpack(vector, Layout.of(state))
    back["a"] += 1
    assert vector.tolist() == [1, 1, 1]


@pytest.mark.parametrize("values", [np.zeros(5), np.zeros(7), np.zeros((2, 3)), np.zeros(())])
def test_another_length_is_refused(values: np.ndarray) -> None:
    layout = Layout((("a", (2, 3)),))
    with pytest.raises(PolicyError):
        unpack(values.astype(np.float32), layout)


def test_names_and_shapes_make_the_layout() -> None:
    one = Layout((("a", (2, 3)), ("b", (1,))))
    others = [
        (("a", (3, 2)), ("b", (1,))),
        (("b", (1,)), ("a", (2, 3))),
        (("a", (2, 3)), ("c", (1,))),
    ]
    assert len({one.digest, *(Layout(entries).digest for entries in others)}) == 4


def test_counters_have_no_average() -> None:
    with pytest.raises(PolicyError, match="num_batches_tracked"):
        Layout.of(torch.nn.BatchNorm1d(2).state_dict())


@given(bits=arrays(np.uint32, st.integers(0, 50)))
def test_bfloat16_is_what_torch_makes_of_it(bits: np.ndarray) -> None:
    """Any bit pattern: ties go to even, numbers too large to infinity, NaN to NaN."""
    values = bits.view(np.float32)
    want = torch.from_numpy(values.copy()).to(torch.bfloat16)
    halves = to_bfloat16(values)
    number = ~np.isnan(values)
    assert (halves == want.view(torch.uint16).numpy())[number].all()
    back = from_bfloat16(halves)
    assert back.dtype == np.float32
    assert back[number].tobytes() == want.float().numpy()[number].tobytes()
    assert np.isnan(back[~number]).all()


@given(bits=arrays(np.uint32, 20))
def test_what_is_rounded_travels_without_loss(bits: np.ndarray) -> None:
    values = np.nan_to_num(bits.view(np.float32))
    once = rounded(values, "bfloat16")
    assert rounded(once, "bfloat16").tobytes() == once.tobytes()
    assert rounded(values, "float32") is values
    assert from_bfloat16(to_bfloat16(once)).tobytes() == once.tobytes()
