"""U-Nets: maps of the image's own size, each sample by itself, the same gradients from every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from battery import check_private
from torch import nn

from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.study_file import parse_study

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"channels": [4, 8]},
    "attention-unet": {"channels": [4, 8], "groups": 2},
    "basic-unet": {"features": [2, 2, 4, 4, 4, 2], "groups": 2},
}
SIDES = {"unet": 8, "attention-unet": 8, "basic-unet": 32}
Content = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def study(content: Content) -> Callable[..., Study]:
    """The function that returns a study that draws two structures with a model."""

    def make(name: str, *, depth: int | None = None, side: int | None = None, **more: Any) -> Study:
        tables = content(
            task={"name": "segmentation", "classes": None}, model={"name": name, **more}
        )
        tables["data"] = {"kind": "dicom", "image_size": side or SIDES[name], "depth": depth}
        tables["data"] |= {"labels": "mask", "structures": ["lung", "nodule"]}
        return parse_study(tables, where="test")

    return make


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("deep", [False, True])
def test_maps_have_the_size_of_the_images(
    study: Callable[..., Study], name: str, deep: bool
) -> None:
    side = SIDES[name]
    network = build_model(study(name, depth=side if deep else None, **SMALL[name]), 3)
    shape = (side,) * (3 if deep else 2)
    assert network(torch.randn(2, 1, *shape)).shape == (2, 3, *shape)
    for layer in network.modules():
        assert not isinstance(layer, nn.BatchNorm2d | nn.BatchNorm3d)
        assert not isinstance(layer, nn.Dropout) or layer.p == 0


@pytest.mark.parametrize("name", SMALL)
def test_private_gradients_in_two_dimensions(study: Callable[..., Study], name: str) -> None:
    side = SIDES[name]
    check_private(study(name, **SMALL[name]), masks((7, side, side)))


@pytest.mark.parametrize("name", ["unet", "attention-unet"])
def test_private_gradients_in_three_dimensions(study: Callable[..., Study], name: str) -> None:
    check_private(study(name, depth=8, **SMALL[name]), masks((7, 8, 8, 8)))


def test_private_gradients_of_residual_units(study: Callable[..., Study]) -> None:
    check_private(study("unet", residual_units=2, **SMALL["unet"]), masks((7, 8, 8)))


def masks(shape: tuple[int, ...]) -> torch.Tensor:
    """Return random masks of two structures; the first image has none."""
    drawn = torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(2))
    drawn[0] = 0
    return drawn.to(torch.uint8)


def test_the_weights_of_a_u_net_are_counted(study: Callable[..., Study]) -> None:
    network = build_model(study("unet", **SMALL["unet"]), 3)
    down, bottom, up, slopes = (9 + 1) * 4, (9 * 4 + 1) * 8, 9 * (4 + 8) * 3 + 3, 2
    assert sum(p.numel() for p in network.parameters()) == down + bottom + up + slopes


def test_sizes_that_cannot_be_halved_are_refused(study: Callable[..., Study]) -> None:
    with pytest.raises(StudyError, match=r"18x18 px cannot be halved 2 times") as caught:
        build_model(study("unet", side=18), 3)
    assert "multiples of 4" in caught.value.fix
    with pytest.raises(StudyError, match="halved 2 times"):
        build_model(study("attention-unet", side=4), 3)
    with pytest.raises(StudyError, match="halved 4 times"):
        build_model(study("basic-unet", side=16), 3)


def test_series_and_unknown_options_are_refused(
    study: Callable[..., Study], content: Content
) -> None:
    with pytest.raises(StudyError, match="channels"):
        build_model(study("unet", chanels=[4, 8]), 3)
    with pytest.raises(StudyError, match="do not divide"):
        build_model(study("basic-unet", groups=3), 3)
