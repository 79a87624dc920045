"""The network of patches: what lies outside a cell's patch never moves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from common.errors import StudyError
from common.models import build_model
from common.models.bag_net import BagNetOptions
from common.study import Study
from common.study_file import parse_study

Content = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def study(content: Content) -> Callable[..., Study]:
    """The function that returns a study with the network."""

    def make(*, depth: int | None = None, side: int = 16, **model: Any) -> Study:
        tables = content(
            task={"name": "localisation", "classes": None}, model={"name": "bag-net", **model}
        )
        tables["data"] = {"kind": "dicom", "image_size": side, "depth": depth}
        tables["data"] |= {"labels": "points", "structures": ["mass"]}
        return parse_study(tables, where="test")

    return make


@pytest.mark.parametrize(("stride", "channels"), [(1, [4]), (2, [4, 4, 4]), (4, [4, 4])])
@pytest.mark.parametrize("depth", [None, 16])
def test_a_cell_sees_its_patch_and_nothing_else(
    study: Callable[..., Study], stride: int, channels: list[int], depth: int | None
) -> None:
    options = BagNetOptions(channels=tuple(channels), stride=stride)  # type: ignore[arg-type]
    network = build_model(study(depth=depth, channels=channels, stride=stride), 1).double()
    dimensions = 2 if depth is None else 3
    image = torch.zeros((1, 1, *(16,) * dimensions), dtype=torch.float64, requires_grad=True)
    drawn = network(image)
    assert drawn.shape == (1, 1, *(16 // stride,) * dimensions)
    cell = (8 // stride,) * dimensions
    for layer in network.modules():  # every path counts, whatever the weights are
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Conv3d):
            torch.nn.init.constant_(layer.weight, 0.1)
            torch.nn.init.constant_(layer.bias, 1.0)
    network(image + 1.0)[(0, 0, *cell)].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].nonzero()
    low, high = seen.amin(0), seen.amax(0)
    assert (high - low + 1).tolist() == [options.patch] * dimensions
    middle = (8 // stride + 0.5) * stride - 0.5
    assert ((low + high) / 2 - middle).abs().max() <= 0.5


def test_what_lies_outside_is_dark(study: Callable[..., Study]) -> None:
    """An image of nothing looks alike everywhere: no corner can be told from the middle."""
    drawn = build_model(study(), 1)(torch.full((1, 1, 16, 16), -1.0))
    torch.testing.assert_close(drawn, drawn[..., :1, :1].expand_as(drawn))


def test_the_weights_are_counted(study: Callable[..., Study]) -> None:
    network = build_model(study(channels=[4, 8]), 1)
    expected = (9 + 1) * 4 + (9 * 4 + 1) * 8 + 8 + 1
    assert sum(p.numel() for p in network.parameters()) == expected


def test_what_does_not_fit_is_refused(study: Callable[..., Study]) -> None:
    with pytest.raises(StudyError, match="no whole cells of 4 px") as caught:
        build_model(study(side=18, stride=4), 1)
    assert "multiples of 4" in caught.value.fix
    with pytest.raises(StudyError, match="stride 8 needs 3 layers"):
        build_model(study(channels=[4, 8], stride=8), 1)
    with pytest.raises(StudyError, match="Did you mean 'channels'"):
        build_model(study(chanels=[4, 8]), 1)
