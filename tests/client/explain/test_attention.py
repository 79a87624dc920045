"""Where networks with attention gathered from, for networks whose attention is set by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from client.explain.attention import rollout
from client.explain.fields import Field, Fields
from client.explain.methods import explained
from client.explain.question import Question
from client.explain.scores import Score
from common.models.attention import SelfAttention
from common.models.series_transformer import SeriesTransformer, SeriesTransformerOptions
from common.models.tabular_transformer import TabularTransformer, TabularTransformerOptions
from common.models.visits import VisitNetwork, VisitsOptions
from common.models.vit import ViT, ViTOptions

SCORE = Score("ill", "output of ill", lambda outputs: outputs[:, 1])


def ask(network: nn.Module, sample: torch.Tensor, fields: Fields | None = None) -> Question:
    return Question(network.eval(), SCORE, sample[None], torch.zeros_like(sample[None]), fields)


def columns(count: int) -> Fields:
    return Fields(tuple(Field(f"c{number}") for number in range(count)))


def look_at_the_first_feature(network: nn.Module) -> None:
    """Every token attends to those whose first feature is large."""
    for layer in network.modules():
        if isinstance(layer, SelfAttention):
            width = layer.merge.in_features
            nn.init.zeros_(layer.project.weight)
            nn.init.zeros_(layer.project.bias)
            layer.project.bias.data[0] = 10.0  # every query
            layer.project.weight.data[width, 0] = 1.0  # keys: the first feature


@pytest.mark.parametrize("depth", [(), (8,)])
def test_the_lit_patch_of_an_image(depth: tuple[int, ...]) -> None:
    shape = (1, *depth, 8, 8)
    network = ViT.build(ViTOptions(patch=4, width=4, heads=1, blocks=1), shape, 2)
    for parameter in (network.patches.weight, network.patches.bias):
        nn.init.zeros_(parameter)
    nn.init.ones_(network.patches.weight[0])
    nn.init.zeros_(network.positions.places.weight)
    look_at_the_first_feature(network)
    image = torch.zeros(shape)
    image[..., 4:, :4] = 1.0
    values = explained("attention", ask(network, image))
    assert values.shape == shape[1:]
    lit, others = values[..., 6:, :2], np.stack([values[..., :2, :2], values[..., 6:, 6:]])
    assert lit.min() > 2 * others.max()


@pytest.mark.parametrize("summary", ["mean", "last"])
def test_shares_of_a_series_sum_to_one(summary: str) -> None:
    options = SeriesTransformerOptions(width=8, heads=2, blocks=2, patch=3, summary=summary)
    network = SeriesTransformer.build(options, (12, 2), 2)
    values = explained("attention", ask(network, torch.randn(12, 2), columns(2)))
    assert values.shape == (12,)
    assert values.sum() == pytest.approx(1.0, abs=1e-5)
    assert len(set(values.reshape(4, 3)[0].tolist())) == 1, "the steps of a patch share"


def test_blocks_that_attend_evenly_keep_half_of_themselves() -> None:
    options = SeriesTransformerOptions(width=4, heads=1, blocks=1, summary="last")
    network = SeriesTransformer.build(options, (5, 1), 2)
    for layer in network.modules():
        if isinstance(layer, SelfAttention):
            nn.init.zeros_(layer.project.weight)
    question = ask(network, torch.randn(5, 1), columns(1))
    expected = torch.full((5, 5), 0.1) + 0.5 * torch.eye(5)
    torch.testing.assert_close(rollout(question), expected)
    assert explained("attention", question) == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.6])


def test_columns_of_a_table_are_put_together() -> None:
    network = TabularTransformer(4, TabularTransformerOptions(width=4, heads=2, blocks=1), 2)
    fields = Fields((Field("age"), Field("pain", 3)))
    question = ask(network, torch.randn(4), fields)
    read = rollout(question)[-1]
    expected = [float(read[0]), float(read[1:4].sum())]
    assert explained("attention", question) == pytest.approx(expected)


def test_visits() -> None:
    network = VisitNetwork(3, VisitsOptions(width=4, hidden_size=3), 2)
    visits = torch.randn(5, 3)
    values = explained("attention", ask(network, visits, columns(3)))
    states, _ = network.encoder(torch.tanh(network.embed(visits[None])))
    np.testing.assert_allclose(values, network.shares(states)[0, :, 0].detach(), rtol=1e-5)
