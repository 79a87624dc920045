"""A model that does not answer what the task asks is refused before anything runs."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from common.errors import StudyError
from common.fit import network_for
from common.study import Study
from common.study_check import check_study
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task

MakeStudy = Callable[..., Study]
SIDE = {"image_size": 32}
MASKS = {**SIDE, "labels": "mask", "structures": ["lung"]}
POINTS = {**SIDE, "labels": "points", "structures": ["nodule"]}
UNET = {"name": "unet", "channels": [4, 8]}


def built(study: Study) -> None:
    network_for(study, build_task(study))


@pytest.mark.parametrize(
    ("task", "model", "data"),
    [
        ({}, {"name": "linear"}, SIDE),
        ({"name": "segmentation", "classes": None}, UNET, MASKS),
        ({"name": "detection", "classes": None}, UNET, POINTS),
        ({"name": "localisation", "classes": None}, {"name": "bag-net"}, POINTS),
    ],
)
def test_what_fits_is_built(
    make_study: MakeStudy, task: dict[str, Any], model: dict[str, Any], data: dict[str, Any]
) -> None:
    built(make_study(task=task, model=model, data=data))


@pytest.mark.parametrize(
    ("task", "model", "data", "said"),
    [
        ({}, UNET, SIDE, "needs 2 numbers a sample, and model 'unet' answers with 2 × 32 × 32"),
        (
            {"name": "segmentation", "classes": None},
            {"name": "linear"},
            MASKS,
            "needs a map .* answers with 2",
        ),
        (
            {"name": "segmentation", "classes": None},
            {"name": "bag-net"},
            MASKS,
            "of the size of the image, and model 'bag-net' answers with 2 × 16 × 16",
        ),
        ({"name": "detection", "classes": None}, {"name": "linear"}, POINTS, "needs a map"),
        ({"name": "localisation", "classes": None}, {"name": "linear"}, POINTS, "needs a map"),
    ],
)
def test_what_does_not_fit_is_refused(
    make_study: MakeStudy,
    task: dict[str, Any],
    model: dict[str, Any],
    data: dict[str, Any],
    said: str,
) -> None:
    study = make_study(task=task, model=model, data=data)
    for _ in range(2):  # a refusal is not forgotten
        with pytest.raises(StudyError, match=said) as caught:
            built(study)
    assert "Choose" in caught.value.fix
    with pytest.raises(StudyError, match=said):
        check_study(study, [100])


@pytest.mark.parametrize("name", ["mlp", "lstm"])
def test_a_policy_needs_values_for_every_state(name: str) -> None:
    content = tomllib.loads(template("episodes", "x"))
    built(parse_study(content, where="x"))
    content["model"] = {"name": name}
    with pytest.raises(StudyError, match="4 numbers for each of 7 states") as caught:
        built(parse_study(content, where="x"))
    assert "q-network" in caught.value.fix


def test_a_model_that_fails_at_its_first_sample_is_refused(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(
        "common.fit.build_model", lambda study, outputs: torch.nn.Linear(5, outputs)
    )
    with pytest.raises(StudyError, match=r"'linear' cannot take samples of shape \(1, 16, 16\)"):
        built(make_study(data={"image_size": 16}))
