"""Networks for tables and visits: private with every task that takes them, and sized as the study says."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import torch
from battery import check_private

from common.errors import StudyError
from common.models import build_model
from common.study import Study
from common.study_file import parse_study
from common.study_template import template

TABULAR = {"name": "tabular-transformer", "width": 4, "heads": 2, "blocks": 1}
VISITS = {"name": "visits-lstm", "width": 4, "hidden_size": 3}
CLASSES = torch.tensor([0, 1, 1, 0, 1, 0, 0])
HAZARDS = torch.tensor([[0, 1], [2, 0], [1, 1], [0, 0], [1, 0], [2, 0], [1, 1]]).float()


def study_for(kind: str, model: dict[str, Any], survival: bool = False) -> Study:
    content = tomllib.loads(template(kind, "x"))
    content["model"] = model
    if kind == "records":
        content["data"] |= {"history_minutes": 300.0}
    if survival:
        content["task"] = {"name": "survival"}
        content["data"]["follow_up"] = {"edges": [10, 20]}
        if kind == "table":
            content["data"]["follow_up"]["time"] = "days"
    return parse_study(content, where="x")


@pytest.mark.parametrize(("kind", "model"), [("table", TABULAR), ("records", VISITS)])
@pytest.mark.parametrize("survival", [False, True])
def test_each_patient_by_hand(kind: str, model: dict[str, Any], survival: bool) -> None:
    check_private(study_for(kind, model, survival), HAZARDS if survival else CLASSES)


@pytest.mark.parametrize(("kind", "model"), [("table", TABULAR), ("records", VISITS)])
def test_a_sample_does_not_see_those_beside_it(kind: str, model: dict[str, Any]) -> None:
    study = study_for(kind, model)
    network = build_model(study, 2)
    samples = torch.randn((5, *study.data.model_shape))
    together = network(samples)
    for row in range(5):
        torch.testing.assert_close(network(samples[row : row + 1])[0], together[row])


def test_parameters_are_counted() -> None:
    def count(kind: str, model: dict[str, Any]) -> int:
        return sum(p.numel() for p in build_model(study_for(kind, model), 2).parameters())

    # 2 inputs and the constant: a weight and a bias each; then norms, attention, two layers; a norm and the head
    block = 8 + (4 * 12 + 12) + (4 * 4 + 4) + 8 + (4 * 8 + 8) + (8 * 4 + 4)
    assert count("table", TABULAR) == 3 * 8 + block + 8 + (4 * 2 + 2)
    # 3 inputs a step: pulse, its indicator, age
    lstm = 4 * (4 * 3 + 3 * 3 + 3 + 3)
    assert count("records", VISITS) == (3 * 4 + 4) + lstm + (3 + 1) + (6 * 2 + 2)


def test_one_finding_can_turn_the_meaning_of_another() -> None:
    """An exclusive or, which no linear model can learn."""
    torch.manual_seed(0)
    network = build_model(study_for("table", {**TABULAR, "width": 8}), 2)
    rows = torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    classes = torch.tensor([0, 1, 1, 0])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(rows), classes).backward()
        optimizer.step()
    assert network(rows).argmax(1).tolist() == classes.tolist()


def test_every_visit_can_count() -> None:
    study = study_for("records", VISITS)
    samples = torch.randn((1, *study.data.model_shape), requires_grad=True)
    output = build_model(study, 2)(samples)[0, 0]
    (gradient,) = torch.autograd.grad(output, samples)
    assert (gradient[0].abs().sum(dim=1) > 1e-7).all()


@pytest.mark.parametrize(
    ("kind", "model", "message"),
    [
        ("records", TABULAR, "takes tables"),
        ("table", VISITS, "takes series"),
        ("table", {**TABULAR, "heads": 3}, "cannot share"),
        ("table", {**TABULAR, "dropout": 0.1}, "Unknown key 'dropout'"),
        ("records", {**VISITS, "layers": 2}, "Unknown key 'layers'"),
    ],
)
def test_what_does_not_fit_is_refused(kind: str, model: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        build_model(study_for(kind, model), 2)
