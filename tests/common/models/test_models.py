"""Networks: sized from the study, the same from one seed, and each sample by itself."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from common import plugins
from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.study_file import parse_study
from common.study_template import template

IMAGES = ("compact-cnn", "seed-cnn-64", "seed-cnn-28", "lungct-net", "plain-cnn")
SERIES = (
    "lstm",
    "gru",
    "temporal-convolution",
    "series-transformer",
    "series-mlp",
    "cnn-1d",
    "cnn-lstm",
)
VARIANTS: list[dict[str, Any]] = [
    *({"name": name} for name in IMAGES + SERIES + ("mlp", "linear")),
    {"name": "lungct-net", "group_norm": True},
    {"name": "plain-cnn", "channels": [12, 3], "hidden": [5], "group_norm": True},
    {"name": "compact-cnn", "scales": [], "activation": "tanh"},
    {"name": "random-features", "features": 8, "hidden": [4]},
    {"name": "lstm", "layers": 2, "residual": True, "hidden_size": 8},
    {"name": "series-transformer", "patch": 4, "summary": "last", "residual": True},
    {"name": "densenet", "blocks": [2, 2], "growth": 4, "features": 8},
    {"name": "resnet", "layers": [1, 1, 1, 1], "channels": [8, 8, 8, 16]},
    {"name": "resnet", "layers": [1, 1, 1, 1], "channels": [4, 4, 4, 8], "block": "bottleneck"},
    {"name": "efficientnet", "width": 0.25, "depth": 0.25, "stages": 3},
    {"name": "vit", "patch": 4, "width": 8, "heads": 2, "blocks": 1},
]
IDS = [f"{v['name']}{'+' * (len(v) > 1)}" for v in VARIANTS]


def study_for(model: dict[str, Any], size: int = 16, seed: int = 7, channels: int = 1) -> Study:
    name = model["name"]
    content = tomllib.loads(template("series" if name in SERIES else "arrays", "x"))
    content["model"] = model
    content["study"]["seed"] = seed
    if name not in SERIES:
        content["data"] |= {"image_size": size, "channels": channels}
    return parse_study(content, where="x")


def batch(study: Study, count: int) -> torch.Tensor:
    return torch.randn((count, *study.data.input_shape), generator=torch.Generator().manual_seed(1))


def test_every_registered_model_is_tried() -> None:
    """Here, or, where its samples or outputs are of another shape, by the battery in a file of its own."""
    others = plugins.registry("models").keys() - {variant["name"] for variant in VARIANTS}
    files = [path.read_text() for path in Path(__file__).parents[2].rglob("test_*.py")]
    tried = "\n".join(text for text in files if "check_private" in text)
    assert [name for name in sorted(others) if f'"{name}"' not in tried] == []


@pytest.mark.parametrize("model", VARIANTS, ids=IDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_models_fit_the_study(model: dict[str, Any], channels: int) -> None:
    study = study_for(model, channels=channels)
    network = build_model(study, 3)
    assert network(batch(study, 4)).shape == (4, 3)
    kinds = [type(layer).__name__ for layer in network.modules()]
    assert not [kind for kind in kinds if "BatchNorm" in kind or "Dropout" in kind]


@pytest.mark.parametrize("model", VARIANTS, ids=IDS)
def test_a_samples_output_does_not_depend_on_the_others(model: dict[str, Any]) -> None:
    study = study_for(model)
    network = build_model(study, 2).train()
    samples = batch(study, 6)
    together = network(samples)
    strange = samples.clone()
    strange[1:] = 1e3
    torch.testing.assert_close(network(strange)[0], together[0], rtol=1e-5, atol=1e-6)
    for row in range(6):
        alone = network(samples[row : row + 1])[0]
        torch.testing.assert_close(alone, together[row], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", VARIANTS, ids=IDS)
def test_initial_weights_follow_from_the_seed_alone(model: dict[str, Any]) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        return build_model(study_for(model, seed=seed), 2).state_dict()

    torch.manual_seed(1)
    first, state = weights(7), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state), "the global generator is left alone"
    torch.manual_seed(2)
    second, other = weights(7), weights(8)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert model["name"] == "linear" or any(not torch.equal(first[n], other[n]) for n in first)


@pytest.mark.parametrize(
    ("name", "size", "outputs", "parameters"),
    [
        # conv: (9·in + 1)·out each; fc: (in + 1)·out each
        ("lungct-net", 28, 2, 320 + 18_496 + (64 * 49 + 1) * 128 + 129 * 2),
        (
            "seed-cnn-64",
            64,
            5,
            320 + 18_496 + 73_856 + (128 * 64 + 1) * 128 + 129 * 64 + 65 * 5,
        ),
        ("seed-cnn-28", 28, 2, 320 + 18_496 + 36_928 + (64 * 9 + 1) * 64 + 65 * 2),
    ],
)
def test_the_seed_networks_have_their_sizes(
    name: str, size: int, outputs: int, parameters: int
) -> None:
    network = build_model(study_for({"name": name}, size), outputs)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_lungct_net_has_the_size_that_its_paper_trail_says() -> None:
    network = build_model(study_for({"name": "lungct-net"}, 28), 2)
    assert round(sum(p.numel() for p in network.parameters()), -3) == 421_000


@pytest.mark.parametrize("name", IMAGES)
def test_images_that_are_too_small_are_refused(name: str) -> None:
    with pytest.raises(StudyError, match=r"too small") as caught:
        build_model(study_for({"name": name}, 1), 2)
    assert "px" in caught.value.fix


@pytest.mark.parametrize("name", IMAGES + SERIES)
def test_other_kinds_of_data_are_refused(name: str) -> None:
    content = tomllib.loads(template("table", "x"))
    content["model"] = {"name": name}
    with pytest.raises(StudyError, match=r"takes (images|series)"):
        build_model(parse_study(content, where="x"), 2)


@pytest.mark.parametrize("name", SERIES)
def test_an_untrained_residual_forecast_is_the_last_value(name: str) -> None:
    study = study_for({"name": name, "residual": True})
    windows = batch(study, 3)
    network: nn.Module = build_model(study, 2)
    torch.testing.assert_close(network(windows), windows[:, -1].expand(3, 2))
