"""Random convolutional features: fixed, the same everywhere, of one scale; only what is behind them is learned."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import torch
from battery import check_private

from common.errors import StudyError
from common.models import build_model
from common.models.random_features import RandomFeatures
from common.study import Study
from common.study_file import parse_study
from common.study_template import template
from common.weights import exchanged


def pictures(seed: int = 7, size: int = 12, **options: Any) -> Study:
    content = tomllib.loads(template("arrays", "x"))
    content["study"]["seed"] = seed
    content["model"] = {"name": "random-features", "features": 8, **options}
    content["data"] |= {"image_size": size, "channels": 1}
    return parse_study(content, where="x")


def test_they_are_learned_from_one_patient_at_a_time() -> None:
    check_private(pictures(hidden=[4]), torch.arange(7) % 2)


def test_what_is_fixed_is_the_same_in_every_study_and_does_not_travel() -> None:
    first, second = (build_model(pictures(seed=seed, hidden=[4]), 2) for seed in (1, 2))
    assert sum(values.numel() for values in exchanged(first).values()) == (16 * 4 + 4) + (4 * 2 + 2)
    images = torch.rand(3, 1, 12, 12)
    torch.testing.assert_close(first[0](images), second[0](images))  # type: ignore[operator]
    assert not torch.equal(first[1].weight, second[1].weight)  # type: ignore[arg-type]


def test_features_are_of_one_scale_though_nobodys_images_were_seen() -> None:
    generator = torch.Generator().manual_seed(3)
    blobs = (
        torch.nn.functional.interpolate(torch.rand(64, 1, 5, 5, generator=generator), 28) * 2 - 1
    )
    features = RandomFeatures((0.7, 1.4), (1, 28, 28), 32)(blobs)
    assert features.shape == (64, 64)
    torch.testing.assert_close(features.mean(1), torch.zeros(64), atol=1e-4, rtol=0)
    spread = features.std(0)
    assert spread.max() / spread.median() < 5


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [({"scales": [0.1]}, 12, "Scales lie"), ({}, 6, "too small"), ({"colour": 1}, 12, "colour")],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], size: int, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        build_model(pictures(size=size, **options), 2)
    assert message in f"{caught.value.what} {caught.value.fix}"
