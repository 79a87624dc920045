"""Every kind of layer that the book-keeping engine knows, and what it refuses."""

from __future__ import annotations

import contextlib
import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from common.errors import StudyError
from common.privacy.bookkeeping.convolution import _grouped, _one_by_one
from common.privacy.bookkeeping.engine import BookkeepingEngine
from common.privacy.bookkeeping.gradients import Factored, Formed, Scattered, product
from common.privacy.bookkeeping.sums import squared_norms
from common.privacy.bookkeeping.units import Units
from common.privacy.clipping import Clipping
from common.privacy.engine import UnitBatch
from common.privacy.engines import Name, make_engine

Compare = Callable[..., None]


class Last(nn.Module):
    """A recurrent layer, then its outputs and its last state into two numbers."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.layer.batch_first else x.transpose(0, 1)
        outputs, state = self.layer(x)
        last = state[1] if isinstance(state, tuple) else state
        return (
            self.head(last[-1])
            + outputs.square().mean((2, 1 if self.layer.batch_first else 0))[:, None]
        )


class Attended(nn.Module):
    def __init__(self, cross: bool = False, weights: bool = False, **options: bool) -> None:
        super().__init__()
        self.cross, self.weights = cross, weights
        self.attention = nn.MultiheadAttention(8, 2, **options)
        self.head = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x if self.attention.batch_first else x.transpose(0, 1)
        other = x.flip(1 if self.attention.batch_first else 0) * 2 if self.cross else x
        out, shares = self.attention(x, other, other, need_weights=self.weights)
        out = out if self.attention.batch_first else out.transpose(0, 1)
        extra = shares.square().sum((1, 2))[:, None] if self.weights else 0.0
        return self.head(out.mean(1)) + extra


class Token(nn.Module):
    """A bare parameter in front of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 5))
        self.inner = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.token.expand(len(x), -1, -1), self.inner(x)], dim=1)


class Tied(nn.Module):
    """Two layers of one weight, and one layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.head = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 2)
        self.other.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.other(torch.relu(self.one(self.one(x)))))


def flat(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers, nn.Flatten())


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_first": True},
        {"bias": False},
        {"num_layers": 2, "bidirectional": True, "batch_first": True},
    ],
)
def test_recurrent_layers(
    agrees: Compare, kind: type[nn.RNNBase], options: dict[str, bool]
) -> None:
    agrees(Last(kind(3, 5, **options)), (9, 3))


def test_a_rectified_network_of_elman(agrees: Compare) -> None:
    agrees(Last(nn.RNN(3, 5, nonlinearity="relu", batch_first=True)), (4, 3))


def test_a_sequence_longer_than_a_block_and_shorter_than_two(agrees: Compare) -> None:
    agrees(Last(nn.LSTM(2, 40, batch_first=True)), (1, 2))
    agrees(Last(nn.LSTM(2, 4, batch_first=True)), (17, 2))


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(
    "options", [{"batch_first": True}, {}, {"bias": False, "batch_first": True}]
)
def test_attention(agrees: Compare, cross: bool, weights: bool, options: dict[str, bool]) -> None:
    agrees(Attended(cross, weights, **options), (6, 8))


def test_attention_with_keys_of_another_width(agrees: Compare) -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, kdim=3, vdim=5, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = torch.zeros(len(x), 4, dtype=torch.bool)
            mask[:, -1] = True
            out, _ = self.attention(x, x[:, :4, :3], x[:, :4, :5], key_padding_mask=mask)
            return out.mean(1)

    agrees(Other(), (6, 8))


def test_a_masked_transformer(agrees: Compare) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            return self.layer(x, src_mask=mask, is_causal=True).flatten(1)

    agrees(Masked(), (6, 8))


CONVOLUTIONS = {
    "1d": (
        lambda: flat(
            nn.Conv1d(2, 4, 3, padding="same", dilation=2),
            nn.PReLU(4),
            nn.ConvTranspose1d(4, 3, 3, stride=2, output_padding=1),
            nn.InstanceNorm1d(3, affine=True),
            nn.Tanh(),
            nn.AdaptiveAvgPool1d(2),
        ),
        (2, 10),
    ),
    "2d": (
        lambda: flat(
            nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect", groups=2),
            nn.GroupNorm(2, 4),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 6, 1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2),
            nn.PReLU(),
            nn.AdaptiveAvgPool2d(2),
        ),
        (2, 8, 8),
    ),
    "2d, even kernel": (lambda: flat(nn.Conv2d(1, 3, 4, padding="same", bias=False)), (1, 6, 5)),
    "2d, strides and dilation": (
        lambda: flat(nn.Conv2d(2, 3, (3, 2), stride=(2, 1), dilation=(1, 2), padding=(2, 1))),
        (2, 7, 6),
    ),
    "2d, one by one": (lambda: flat(nn.Conv2d(3, 2, 3, stride=3), nn.Tanh()), (3, 54, 54)),
    "3d": (
        lambda: flat(
            nn.Conv3d(1, 4, 3, stride=2, padding=1),
            nn.InstanceNorm3d(4, affine=True),
            nn.LeakyReLU(inplace=True),  # on a view: what the norm returns
            nn.ConvTranspose3d(4, 2, 2),
            nn.Conv3d(2, 2, (3, 1, 1), padding="same"),
            nn.AdaptiveAvgPool3d(1),
        ),
        (1, 6, 6, 6),
    ),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions_and_norms(agrees: Compare, case: str) -> None:
    build, shape = CONVOLUTIONS[case]
    agrees(build(), shape)


def test_dense_layers(agrees: Compare) -> None:
    agrees(nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.RMSNorm(6), nn.Linear(6, 2)), (3, 5))
    agrees(flat(nn.Embedding(7, 5, padding_idx=0), nn.Linear(5, 2)), (4,), vocabulary=7)


@pytest.mark.parametrize(
    "build", [Token, lambda: nn.utils.parametrizations.weight_norm(nn.Linear(5, 4))]
)
def test_weights_that_no_rule_knows_go_through_vmap(
    agrees: Compare, build: Callable[[], nn.Module]
) -> None:
    agrees(
        flat(build(), nn.ReLU(inplace=True), nn.Linear(4 if build is not Token else 5, 2)), (3, 5)
    )


def test_a_weight_that_is_used_twice(agrees: Compare) -> None:
    agrees(Tied(), (5,))


def test_frozen_weights_stay_out(agrees: Compare) -> None:
    network = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.Linear(5, 2))
    network[0].requires_grad_(False)
    network[2].weight.requires_grad_(False)
    agrees(network, (5,))


def test_a_network_that_draws_at_random_is_measured_all_the_same() -> None:
    network = nn.Sequential(nn.Linear(5, 50), nn.Dropout(0.5), nn.Linear(50, 2))
    before = network.training, torch.get_rng_state()
    BookkeepingEngine(network).footprint(torch.zeros(5))
    assert network.training is before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


class SequenceFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.transpose(0, 1)).mean(0)


class PastItsLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) @ self.layer.weight


class AcrossSamples(nn.Module):
    """Mixes samples without any layer that is known for it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x - x.mean(0, keepdim=True))


@pytest.mark.parametrize("name", ["bookkeeping", "hooks"])
def test_a_network_that_mixes_samples_is_refused(name: Name) -> None:
    with pytest.raises(StudyError, match="mixes the samples"):
        make_engine(name, AcrossSamples()).footprint(torch.zeros(5))


@pytest.mark.parametrize("name", ["bookkeeping", "hooks"])
@pytest.mark.parametrize("steps", [2, 3, 4])
def test_a_sequence_first_network_is_refused_whatever_its_length(name: Name, steps: int) -> None:
    with pytest.raises(StudyError, match="first dimension"):
        make_engine(name, SequenceFirst()).footprint(torch.zeros(steps, 3))


@pytest.mark.parametrize("name", ["bookkeeping", "hooks"])
def test_a_weight_used_past_its_layer_is_refused(name: Name) -> None:
    with pytest.raises(StudyError, match=r"layer\.weight"):
        make_engine(name, PastItsLayer()).footprint(torch.zeros(5))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2),
        nn.Conv1d(4, 2, 3, stride=2, dilation=2),
    ],
)
def test_one_convolution_for_all_units_gives_what_one_for_each_does(conv: _ConvNd) -> None:
    """The way of a GPU, run on a CPU: three units of two samples."""
    x = torch.randn(6, 4, *(9,) * len(conv.kernel_size))
    g = torch.randn_like(conv(x)).detach()
    units = Units.of(torch.arange(3).repeat_interleave(2), 3)
    expected = _one_by_one(conv, x, g, units).formed()
    torch.testing.assert_close(_grouped(conv, x, g, units), expected, rtol=1e-4, atol=1e-4)


REFUSED = {
    "GroupNorm": nn.BatchNorm1d(3),
    "track_running_stats": nn.InstanceNorm1d(3, track_running_stats=True),
    "max_norm": nn.Embedding(3, 2, max_norm=1.0),
    "proj_size": nn.LSTM(3, 4, proj_size=2),
    "add_bias_kv": nn.MultiheadAttention(4, 2, add_bias_kv=True),
}


@pytest.mark.parametrize("fix", REFUSED)
def test_what_cannot_be_trained_privately_is_named_with_its_fix(fix: str) -> None:
    with pytest.raises(StudyError) as caught:
        BookkeepingEngine(nn.Sequential(nn.Identity(), REFUSED[fix]))
    assert "Layer '1'" in caught.value.what
    assert fix in caught.value.fix


def test_random_layers_beside_bare_weights_are_refused() -> None:
    token = Token()
    token.inner = nn.Dropout(0.1)  # type: ignore[assignment]
    with pytest.raises(StudyError, match="Dropout"):
        BookkeepingEngine(nn.Sequential(token))


class Marked(torch.autograd.Function):
    """Does nothing, and keeps a mark in the graph."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, mark: object) -> torch.Tensor:
        ctx.mark = mark
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return grads[0], None


@pytest.mark.parametrize("interrupted", [False, True])
def test_a_step_leaves_no_graph_in_memory(interrupted: bool) -> None:
    class Mark:
        pass

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.norm, self.other = nn.Linear(4, 4), nn.GroupNorm(2, 4), nn.LSTM(4, 3)
            self.other.batch_first = True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            middle: torch.Tensor = Marked.apply(self.norm(self.one(x)), marks.pop())
            return self.other(middle[:, None])[0].flatten(1)

    marks = [Mark()]
    left = weakref.ref(marks[0])
    engine = BookkeepingEngine(Network())
    batch = UnitBatch(torch.randn(2, 4), torch.zeros(2, 3), torch.arange(2), 2)

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if interrupted:
            raise KeyboardInterrupt
        return (outputs - targets).square().sum(1)

    with contextlib.suppress(KeyboardInterrupt):
        engine.clipped_sum(batch, loss, Clipping(1.0))
    gc.collect()
    assert left() is None


def test_an_input_overwritten_in_place_is_named() -> None:
    class Overwritten(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(5, 5), nn.Linear(5, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            middle = self.one(x)
            out: torch.Tensor = self.other(middle)
            middle.add_(1.0)
            return out + middle

    network = Overwritten()
    engine = BookkeepingEngine(network)
    batch = UnitBatch(torch.randn(2, 5), torch.zeros(2, 5), torch.arange(2), 2)
    with pytest.raises(StudyError, match=r"'other'.*overwritten"):
        engine.clipped_sum(batch, lambda o, t: (o - t).square().sum(1), Clipping(1.0))
    assert not engine.tape.found
    assert engine.tape.units is None


@pytest.mark.parametrize("each", [1, 3])
def test_factors_give_what_formed_gradients_give(each: int) -> None:
    torch.manual_seed(0)
    units = Units.of(torch.arange(4).repeat_interleave(each), 4)
    x, g = torch.randn(4 * each, 2, 6), torch.randn(4 * each, 2, 5)
    kept = Factored(x, g, units, (5, 6))
    made = Formed(kept.formed())
    torch.testing.assert_close(kept.squares(), made.squares(), rtol=1e-5, atol=0)
    factors = torch.rand(4, dtype=torch.float64)
    torch.testing.assert_close(kept.weighted(factors), made.weighted(factors), rtol=1e-5, atol=1e-6)
    assert isinstance(product(x, g, units, (5, 6)), Factored | Formed)


def test_the_norm_of_factors_that_cancel_is_not_too_small() -> None:
    """Two rows of one unit that undo each other: what rounding leaves must be inside the norm."""
    units = Units.of(torch.zeros(2, dtype=torch.long), 1)
    x = torch.tensor([[[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]]) * 1e3
    g = torch.tensor([[[7.0, 0.1]], [[-7.0, -0.1 + 1e-9]]])
    kept = Factored(x, g, units, (2, 3))
    left = float(kept.weighted(torch.ones(1, dtype=torch.float64)).norm())
    assert math.sqrt(float(kept.squares()[0])) >= left


def test_scattered_gradients_add_up_where_a_word_comes_twice() -> None:
    units = Units.of(torch.tensor([0, 0, 1]), 2)
    places = torch.tensor([[1, 1], [1, 2], [0, 2]])
    rows = Scattered(places, torch.randn(3, 2, 4), units, (3, 4))
    torch.testing.assert_close(rows.squares(), squared_norms(rows.formed()), rtol=1e-5, atol=0)
    factors = torch.tensor([0.5, 0.0], dtype=torch.float64)
    torch.testing.assert_close(rows.weighted(factors), rows.formed()[0] * 0.5)
