"""Checkpoints that were trained with BatchNorm: the network computes what it computed there, and stays private."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from battery import check_private
from monai.networks.nets.densenet import DenseNet
from safetensors.torch import save
from torch import nn

from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.transfer.places import VARIABLE, look_in
from common.weights import exchanged

Make = Callable[..., Study]
SMALL: dict[str, dict[str, Any]] = {
    "densenet": {"blocks": [2, 2], "growth": 4, "features": 8},
    "resnet": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 16]},
    "efficientnet": {"width": 0.25, "depth": 0.25, "stages": 3},
}
DATA: dict[str, Any] = {"image_size": 16}


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that is searched."""
    monkeypatch.setenv(VARIABLE, "")
    look_in(tmp_path)
    return tmp_path


def trained() -> nn.Module:
    """A DenseNet whose BatchNorms have seen something."""
    torch.manual_seed(3)
    network = DenseNet(2, 1, 2, init_features=8, growth_rate=4, block_config=(2, 2))
    network.train()
    for _ in range(3):
        network(torch.randn(8, 1, 16, 16) * 3 + 1)
    return network.eval()


def elsewhere(name: str, old: bool) -> str:
    """What torchvision calls a tensor."""
    name = name.replace("class_layers.out.", "classifier.")
    return re.sub(r"\.layers\.(norm|conv)(\d)", r".\1.\2" if old else r".\1\2", name)


@pytest.mark.parametrize("old", [False, True])
def test_a_densenet_of_torchvision_says_here_what_it_said_there(
    make_study: Make, places: Path, old: bool
) -> None:
    theirs = trained()
    state = {f"module.{elsewhere(n, old)}": v for n, v in theirs.state_dict().items()}
    content = save(state)
    (places / "chest.safetensors").write_bytes(content)
    about = {
        "checkpoint": "chest.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "rename": {"module.": ""},
    }
    model = {"name": "densenet", **SMALL["densenet"]}
    fixed = make_study(model={**model, "norm": "fixed"}, data=DATA, transfer=about)
    images = torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(build_model(fixed, 2)(images), theirs(images), rtol=1e-4, atol=1e-5)
    grouped = build_model(make_study(model=model, data=DATA, transfer=about), 2)
    assert not torch.allclose(grouped(images), theirs(images), rtol=0.1, atol=0.1)


def test_a_checkpoint_without_the_constants_is_refused(make_study: Make, places: Path) -> None:
    model = {"name": "resnet", **SMALL["resnet"]}
    content = save(build_model(make_study(model=model, data=DATA), 2).state_dict())
    (places / "a.safetensors").write_bytes(content)
    about = {"checkpoint": "a.safetensors", "sha256": hashlib.sha256(content).hexdigest()}
    with pytest.raises(StudyError, match=r"bn1\.running_mean"):
        build_model(make_study(model={**model, "norm": "fixed"}, data=DATA, transfer=about), 2)


@pytest.mark.parametrize("name", SMALL)
def test_what_is_fixed_neither_learns_nor_travels(make_study: Make, name: str) -> None:
    study = make_study(model={"name": name, **SMALL[name], "norm": "fixed"}, data=DATA)
    network = build_model(study, 2)
    kinds = {type(layer).__name__ for layer in network.modules()}
    assert "FixedNorm" in kinds
    assert not {"GroupNorm", "BatchNorm2d"} & kinds
    assert not [n for n in exchanged(network) if "running" in n or re.search(r"norm|bn\d", n)]
    check_private(study, torch.tensor([0, 1, 0, 1, 1, 0, 1]), engines=("bookkeeping",))


def test_studies_of_before_keep_their_fingerprint(make_study: Make) -> None:
    study = make_study(model={"name": "densenet", **SMALL["densenet"]}, data=DATA)
    assert "norm" not in study.content()["model"]
