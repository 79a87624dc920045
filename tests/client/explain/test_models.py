"""Every kind of network can be explained; what integrated gradients give adds up."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest
import torch

from client.explain.baselines import baselines
from client.explain.fields import fields_of
from client.explain.methods import METHODS, adds_up, explained
from client.explain.question import Question, Unsuited
from client.explain.scores import scores_of
from common.models import build_model
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task

BOTH = {"grad-cam", "attention"}
CASES: list[tuple[str, dict[str, Any], dict[str, Any], set[str]]] = [
    ("arrays", {"name": "compact-cnn"}, {}, {"attention"}),
    ("arrays", {"name": "vit", "patch": 7, "blocks": 1}, {}, {"grad-cam"}),
    ("series", {"name": "temporal-convolution", "blocks": 2}, {}, {"attention"}),
    ("series", {"name": "gru"}, {}, BOTH),
    ("signals", {"name": "cnn-lstm"}, {}, {"attention"}),
    ("records", {"name": "visits-lstm"}, {"visits": 4}, {"grad-cam"}),
    ("table", {"name": "tabular-transformer"}, {}, {"grad-cam"}),
]


def question_of(kind: str, model: dict[str, Any], data: dict[str, Any]) -> Question:
    content = tomllib.loads(template(kind, "x"))
    content["model"], content["data"] = model, content["data"] | data
    study = parse_study(content, where="x")
    task = build_task(study)
    raw = np.random.default_rng(1).uniform(-1, 1, (1, *study.data.input_shape)).astype(np.float32)
    blank = torch.from_numpy(np.array(baselines(raw, study.data)))
    network, score = build_model(study, task.outputs).eval(), scores_of(study, task)[-1]
    return Question(network, score, torch.from_numpy(raw), blank, fields_of(study.data))


@pytest.mark.parametrize(
    ("kind", "model", "data", "unsuited"),
    CASES,
    ids=[f"{case[0]}-{case[1]['name']}" for case in CASES],
)
def test_methods(
    kind: str, model: dict[str, Any], data: dict[str, Any], unsuited: set[str]
) -> None:
    question = question_of(kind, model, data)
    refused = set()
    for name in METHODS:
        try:
            values = explained(name, question)
        except Unsuited:
            refused.add(name)
            continue
        assert np.isfinite(values).all()
        if name == "integrated-gradients" and kind != "arrays":
            assert adds_up(float(values.sum()), question)
        if not METHODS[name].signed:
            assert values.min() >= 0
    assert refused == unsuited
