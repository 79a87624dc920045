"""Every model with every kind of task and data that it fits: clipped sums are those of the patients, one by one.

A model that is registered is tried with all of them; what it is refused for is said before anything runs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from battery import check_pair

from common import plugins
from common.errors import StudyError
from common.fit import network_for
from common.study import Study
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task

SMALL: dict[str, dict[str, Any]] = {
    "attention-unet": {"channels": [4, 8], "groups": 2},
    "bag-net": {"channels": [4, 4]},
    "basic-unet": {"features": [2, 2, 2, 2, 2, 2], "groups": 2},
    "centre-net": {"channels": [4, 8], "width": 4, "groups": 2},
    "cnn-1d": {"channels": [4, 4], "kernel_size": 3},
    "cnn-lstm": {"channels": [4], "kernel_size": 3, "hidden_size": 3},
    "compact-cnn": {"channels": [4]},
    "densenet": {"blocks": [2, 2], "growth": 4, "features": 8},
    "efficientnet": {"width": 0.25, "depth": 0.25, "stages": 3},
    "gru": {"hidden_size": 3},
    "lstm": {"hidden_size": 3},
    "mlp": {"hidden": [4]},
    "plain-cnn": {"channels": [4]},
    "q-network": {"hidden": [4]},
    "random-features": {"features": 8},
    "resnet": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 16]},
    "series-mlp": {"hidden": [4]},
    "series-transformer": {"width": 4, "heads": 2, "blocks": 1, "patch": 3},
    "tabular-transformer": {"width": 4, "heads": 2, "blocks": 1},
    "temporal-convolution": {"channels": 3, "blocks": 2},
    "unet": {"channels": [4, 8]},
    "visits-lstm": {"width": 4, "hidden_size": 3},
    "vit": {"patch": 4, "width": 8, "heads": 2, "blocks": 1},
}
ELSEWHERE = {"captioner", "denoiser", "fusion", "molecule-graph"}
"""Their samples have a form of their own; files of their own hold them to the same battery."""

IMAGES: dict[str, Any] = {"kind": "dicom", "image_size": 16}
VOLUMES: dict[str, Any] = {**IMAGES, "depth": 16}
MASKS: dict[str, Any] = {"labels": "mask", "structures": ["lung", "nodule"]}
POINTS: dict[str, Any] = {"labels": "points", "structures": ["nodule"], "max_points": 2}
LEADS = [{"name": lead, "minimum": -2, "maximum": 2} for lead in ("I", "II")]
FINDINGS: dict[str, Any] = {"name": "multilabel", "findings": ["effusion", "nodule"]}
CLASSES: dict[str, Any] = {"name": "classification", "classes": ["a", "b", "c"]}
SPACED: dict[str, Any] = {"spacing_mm": 2.0, **POINTS}
LATER: dict[str, Any] = {"follow_up": {"time": "days", "edges": [10, 20]}}
NUMBER: dict[str, Any] = {"value": {"minimum": -8, "maximum": 2}, "positive": None}

Change = tuple[str, dict[str, Any], dict[str, Any]]
KINDS: dict[str, Change] = {
    "classes of images": ("dicom", CLASSES, IMAGES),
    "classes of volumes": ("dicom", CLASSES, VOLUMES),
    "findings on images": ("dicom", FINDINGS, {**IMAGES, "labels": "classes"}),
    "findings in volumes": ("dicom", FINDINGS, {**VOLUMES, "labels": "classes"}),
    "masks of images": ("dicom", {"name": "segmentation"}, {**IMAGES, **MASKS, "image_size": 32}),
    "masks of volumes": ("dicom", {"name": "segmentation"}, {**VOLUMES, **MASKS}),
    "points on images": ("dicom", {"name": "detection"}, {**IMAGES, **POINTS}),
    "points in volumes": ("dicom", {"name": "detection"}, {**VOLUMES, **POINTS}),
    "masses on images": ("dicom", {"name": "localisation"}, {**IMAGES, **SPACED}),
    "masses in volumes": ("dicom", {"name": "localisation"}, {**VOLUMES, **SPACED}),
    "forecasts": ("series", {}, {}),
    "classes of signals": (
        "signals",
        CLASSES,
        {"channels": LEADS, "sampling_hz": 12.0, "window_seconds": 2.0},
    ),
    "classes of rows": ("table", {}, {}),
    "numbers of rows": ("table", {"name": "regression"}, NUMBER),
    "events of rows": ("table", {"name": "survival"}, LATER),
    "classes of records": ("records", {}, {"history_minutes": 300.0}),
    "numbers of records": ("records", {"name": "regression"}, NUMBER | {"history_minutes": 300.0}),
    "events of records": (
        "records",
        {"name": "survival"},
        {"history_minutes": 300.0, "follow_up": {"edges": [10, 20]}},
    ),
    "numbers of molecules": ("molecules", {}, {"bits": 16}),
    "decisions": ("episodes", {}, {"decisions": 2}),
}


def study_for(kind: str, model: str) -> Study:
    name, task, data = KINDS[kind]
    content = tomllib.loads(template(name, "x"))
    content["task"] = task or content["task"]
    content["model"] = {"name": model, **SMALL.get(model, {})}
    content["data"] = data if name == "dicom" else content["data"] | data
    content["data"] = {key: value for key, value in content["data"].items() if value is not None}
    return parse_study(content, where="x")


def targets_for(study: Study) -> torch.Tensor:
    """Return what seven samples of four patients may have to learn from."""
    draw, data = torch.Generator().manual_seed(4), study.data
    sides = tuple(data.model_shape)[1:]
    classes = torch.arange(7)
    made: dict[str, Callable[[], torch.Tensor]] = {
        "class": lambda: classes % len(build_task(study).classes),
        "classes": lambda: torch.randint(-1, 2, (7, 2), generator=draw).float(),
        "value": lambda: torch.rand((7, 1), generator=draw) * 2 - 1,
        "values": lambda: torch.randn((7, build_task(study).outputs), generator=draw),
        "hazard": lambda: torch.stack([classes % 3, (classes % 3 < 2).long()], 1).float(),
        "mask": lambda: torch.randint(0, 3, (7, *sides), generator=draw).to(torch.uint8),
        "points": lambda: points(len(sides), draw),
        "decisions": lambda: torch.tensor([[[0, 0, 0, 0.5], [1, 1, 1, 0.25]]]).repeat(7, 1, 1),
    }
    return made[data.target_kind]()


def points(dimensions: int, draw: torch.Generator) -> torch.Tensor:
    """Return at most two points a sample with their diameters, of which the first sample has none."""
    drawn = torch.rand((7, 2, dimensions + 1), generator=draw)
    drawn[..., -1] = 0.1 + drawn[..., -1] / 2
    drawn[0], drawn[1:4, 1] = -1.0, -1.0
    return drawn


def fits(kind: str, model: str) -> bool:
    """Whether a study of these starts; if not, it is refused in words."""
    study = study_for(kind, model)
    try:
        network_for(study, build_task(study))
    except StudyError:
        return False
    return True


PAIRS = [
    pytest.param(kind, model, id=f"{model}: {kind}")
    for kind in KINDS
    for model in sorted(plugins.registry("models").keys() - ELSEWHERE)
    if fits(kind, model)
]


@pytest.mark.parametrize(("kind", "model"), PAIRS)
def test_each_patient_is_clipped_by_itself(kind: str, model: str) -> None:
    study = study_for(kind, model)
    check_pair(study, targets_for(study))


def test_every_model_and_every_task_is_tried() -> None:
    pairs = [param.values for param in PAIRS]
    assert {model for _, model in pairs} | ELSEWHERE == set(plugins.registry("models"))
    assert {kind for kind, _ in pairs} == set(KINDS)
    tasks = {study_for(kind, model).task.name for kind, model in pairs}
    assert tasks | {"report-text", "synthesis"} == set(plugins.registry("tasks"))
