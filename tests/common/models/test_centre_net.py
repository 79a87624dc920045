"""The centre-point network: coarse maps, each sample by itself, the same gradients from every engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from battery import check_private

from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.study_file import parse_study

SMALL: dict[str, Any] = {"channels": [4, 8], "width": 4, "groups": 2}
Content = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def study(content: Content) -> Callable[..., Study]:
    """The function that returns a study that looks for nodules with a model."""

    def make(name: str, *, depth: int | None = None, side: int = 8, **more: Any) -> Study:
        tables = content(task={"name": "detection", "classes": None}, model={"name": name, **more})
        tables["data"] = {"kind": "dicom", "image_size": side, "depth": depth, "max_points": 2}
        tables["data"] |= {"labels": "points", "structures": ["nodule"]}
        return parse_study(tables, where="test")

    return make


def targets(dimensions: int) -> torch.Tensor:
    """Return points of seven samples; the first has none."""
    drawn = torch.rand((7, 2, dimensions + 1), generator=torch.Generator().manual_seed(5))
    drawn[..., -1] = 0.1 + drawn[..., -1] / 2
    drawn[0], drawn[1:4, 1] = -1.0, -1.0
    return drawn


@pytest.mark.parametrize(("stride", "levels"), [(1, 2), (2, 2), (4, 3)])
@pytest.mark.parametrize("deep", [False, True])
def test_maps_are_as_coarse_as_asked(
    study: Callable[..., Study], stride: int, levels: int, deep: bool
) -> None:
    options = {**SMALL, "channels": [4, 8, 8][:levels], "stride": stride}
    network = build_model(study("centre-net", depth=8 if deep else None, **options), 5)
    dimensions = 3 if deep else 2
    assert network(torch.randn(2, 1, *(8,) * dimensions)).shape == (
        2,
        5,
        *(8 // stride,) * dimensions,
    )


@pytest.mark.parametrize("deep", [False, True])
def test_private_gradients(study: Callable[..., Study], deep: bool) -> None:
    check_private(
        study("centre-net", depth=8 if deep else None, **SMALL), targets(3 if deep else 2)
    )


def test_private_gradients_of_a_u_net_that_detects(study: Callable[..., Study]) -> None:
    check_private(study("unet", channels=[4, 8]), targets(2))


def test_the_weights_are_counted(study: Callable[..., Study]) -> None:
    network = build_model(study("centre-net", **SMALL), 4)
    down = (9 + 1) * 4 + 2 * 4 + (9 * 4 + 1) * 8 + 2 * 8
    side, head = (8 + 1) * 4, (9 * 4 + 1) * 4 + 2 * 4 + (4 + 1) * 4
    assert sum(p.numel() for p in network.parameters()) == down + side + head


def test_what_does_not_fit_is_refused(study: Callable[..., Study], content: Content) -> None:
    with pytest.raises(StudyError, match="cannot be halved 2 times") as caught:
        build_model(study("centre-net", side=18), 4)
    assert "multiples of 4" in caught.value.fix
    with pytest.raises(StudyError, match="stride 4 needs more than 2 levels"):
        build_model(study("centre-net", channels=[4, 8], stride=4), 4)
    with pytest.raises(StudyError, match="Did you mean 'channels'"):
        build_model(study("centre-net", chanels=[4, 8]), 4)
