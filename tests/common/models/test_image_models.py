"""MONAI's networks and the Vision Transformer: private, of two and three dimensions, counted, and refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from battery import check_private

from common.errors import StudyError
from common.models import build_model
from common.models.adapted import groups_of
from common.study import Study

Make = Callable[..., Study]

SMALL: dict[str, dict[str, Any]] = {
    "densenet": {"blocks": [2, 2], "growth": 4, "features": 8},
    "resnet": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 16]},
    "efficientnet": {"width": 0.25, "depth": 0.25, "stages": 3},
    "vit": {"patch": 4, "width": 8, "heads": 2, "blocks": 1},
}
MULTI = {"name": "multilabel", "findings": ["effusion", "nodule"], "classes": None}
CLASSES = torch.tensor([0, 1, 0, 1, 1, 0, 1])
FINDINGS = torch.tensor([[1, 0], [-1, 1], [0, 0], [1, -1], [-1, -1], [0, 1], [1, 1]]).float()


def study_of(make_study: Make, name: str, *, multi: bool = False, **model: Any) -> Study:
    data: dict[str, Any] = {"image_size": 16, "labels": "classes" if multi else "class"}
    return make_study(
        task=MULTI if multi else {}, model={"name": name, **SMALL[name], **model}, data=data
    )


def volumes(make_study: Make, name: str) -> Study:
    data = {"kind": "dicom", "image_size": 16, "depth": 8}
    return make_study(model={"name": name, **SMALL[name]}, data=data)


@pytest.mark.parametrize("name", SMALL)
def test_a_patients_share_is_clipped(make_study: Make, name: str) -> None:
    check_private(study_of(make_study, name), CLASSES)


@pytest.mark.parametrize("name", SMALL)
def test_with_several_findings(make_study: Make, name: str) -> None:
    check_private(study_of(make_study, name, multi=True), FINDINGS, engines=("bookkeeping",))


@pytest.mark.parametrize("name", SMALL)
def test_volumes(make_study: Make, name: str) -> None:
    check_private(volumes(make_study, name), CLASSES, engines=("bookkeeping",))


@pytest.mark.parametrize("name", ["densenet", "resnet"])
def test_a_small_stem(make_study: Make, name: str) -> None:
    check_private(study_of(make_study, name, stem="small"), CLASSES, engines=("bookkeeping",))


@pytest.mark.parametrize("name", SMALL)
def test_nothing_mixes_patients_or_draws(make_study: Make, name: str) -> None:
    network = build_model(study_of(make_study, name), 2)
    kinds = [type(layer).__name__ for layer in network.modules()]
    assert not [kind for kind in kinds if "BatchNorm" in kind or "Dropout" in kind]
    assert not [layer for layer in network.modules() if getattr(layer, "inplace", False)]


@pytest.mark.parametrize(
    ("model", "size", "parameters"),
    [
        # As published for ImageNet, without their 1,000-class heads and with one grey channel.
        ({"name": "densenet"}, 32, 7_978_856 - 1_025_000 - 2 * 3136 + 2 * 1025),
        ({"name": "resnet"}, 32, 11_689_512 - 513_000 - 2 * 3136 + 2 * 513),
        ({"name": "efficientnet"}, 32, 5_288_548 - 1_281_000 - 2 * 288 + 2 * 1281),
        # Patches 4·4·8+8, positions 4·8; norms 2·16, attention 8·24+24+8·8+8, mixing 8·16+16+16·8+8; norm, head.
        ({"name": "vit", **SMALL["vit"]}, 8, 136 + 32 + 32 + 288 + 280 + 16 + 18),
    ],
)
def test_the_networks_have_their_sizes(
    make_study: Make, model: dict[str, Any], size: int, parameters: int
) -> None:
    network = build_model(make_study(model=model, data={"image_size": size}), 2)
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("name", SMALL)
def test_options_that_are_unknown_are_refused_with_the_known(make_study: Make, name: str) -> None:
    known = next(iter(SMALL[name]))
    with pytest.raises(StudyError, match="dropout") as caught:
        build_model(study_of(make_study, name, dropout=0.2), 2)
    assert known in caught.value.fix


@pytest.mark.parametrize("name", SMALL)
def test_small_images_and_other_data_are_refused(make_study: Make, name: str) -> None:
    model = {"name": name, **SMALL[name]}
    with pytest.raises(StudyError, match="too small"):
        build_model(make_study(model=model, data={"image_size": 1}), 2)
    features = [{"name": "age", "minimum": 0, "maximum": 9, "fill": 1}]
    table = {"kind": "table", "target": "t", "positive": [1], "features": features}
    with pytest.raises(StudyError, match="images or volumes"):
        build_model(make_study(model=model, data={**table, "image_size": None}), 2)


def test_patches_and_heads_must_fit(make_study: Make) -> None:
    with pytest.raises(StudyError, match="do not divide"):
        build_model(study_of(make_study, "vit", patch=3), 2)
    with pytest.raises(StudyError, match="heads"):
        build_model(study_of(make_study, "vit", heads=3), 2)


def test_groups_divide_and_hold_enough() -> None:
    assert [groups_of(channels, 8) for channels in (64, 24, 12, 7, 3)] == [8, 6, 3, 1, 1]
