"""What is explained: the number goes up with the answer, and says what the predictions say."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import torch

from client.explain.scores import asked, scores_of, usual
from common.errors import StudyError
from common.study import Study
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task


def study_of(kind: str, **sections: dict[str, Any]) -> Study:
    content = tomllib.loads(template(kind, "x"))
    for name, section in sections.items():
        content[name] = section if name == "task" else content[name] | section
    return parse_study(content, where="x")


def test_classes_in_log_odds() -> None:
    study = study_of("arrays", task={"name": "classification", "classes": ["a", "b", "c"]})
    scores = scores_of(study, build_task(study))
    outputs = torch.tensor([[0.3, 2.0, -1.0]])
    chances = torch.stack([score.of(outputs) for score in scores], 1).sigmoid()
    torch.testing.assert_close(chances, outputs.softmax(1))
    assert usual(study, scores, outputs).name == "b"


def test_of_two_classes_the_second() -> None:
    study = study_of("table")
    scores = scores_of(study, build_task(study))
    assert usual(study, scores, torch.tensor([[9.0, 0.0]])).name == "ill"
    assert asked(scores, "healthy").of(torch.tensor([[9.0, 2.0]])).tolist() == [7.0]


def test_findings() -> None:
    study = study_of(
        "arrays", task={"name": "multilabel", "findings": ["x", "y"]}, data={"labels": "classes"}
    )
    scores = scores_of(study, build_task(study))
    outputs = torch.tensor([[1.0, 4.0]])
    assert [float(score.of(outputs)) for score in scores] == [1.0, 4.0]
    assert usual(study, scores, outputs).name == "y"


def test_a_number_in_its_unit() -> None:
    value = {"unit": "mmol/L", "minimum": 0.0, "maximum": 10.0}
    study = study_of("molecules", task={"name": "regression"}, data={"target": "x", "value": value})
    (score,) = scores_of(study, build_task(study))
    assert (score.name, score.meaning) == ("x", "x (mmol/L)")
    assert score.of(torch.tensor([[0.5], [-1.0]])).tolist() == [7.5, 0.0]


def test_forecasts_in_their_unit() -> None:
    study = study_of(
        "series", data={"minimum": 40.0, "maximum": 400.0, "horizons_minutes": [30, 60]}
    )
    scores = scores_of(study, build_task(study))
    assert [score.name for score in scores] == ["30", "60"]
    assert asked(scores, "60").of(torch.tensor([[0.0, 0.5]])).tolist() == [310.0]


def test_risks_until_an_edge() -> None:
    study = study_of(
        "table",
        task={"name": "survival", "usual_hazard": 0.2},
        data={"follow_up": {"edges": [10, 20], "time": "days"}},
    )
    scores = scores_of(study, build_task(study))
    outputs = torch.zeros(1, 2)  # the usual hazard in both intervals
    assert float(asked(scores, "10").of(outputs).sigmoid()) == pytest.approx(0.2)
    assert float(usual(study, scores, outputs).of(outputs).sigmoid()) == pytest.approx(0.36)


def test_areas_of_structures() -> None:
    study = study_of(
        "arrays",
        task={"name": "segmentation"},
        data={"labels": "mask", "structures": ["lungs", "nodule"], "image_size": 4},
    )
    scores = scores_of(study, build_task(study))
    outputs = torch.full((1, 3, 4, 4), -50.0)
    outputs[0, 0], outputs[0, 2, 0, :2] = 0.0, 50.0
    assert float(asked(scores, "nodule").of(outputs)) == pytest.approx(100 * 2 / 16)


def test_tasks_may_say_it_themselves() -> None:
    study = study_of("table")
    task = build_task(study)
    task.scores = lambda: {"first": lambda outputs: outputs[:, 0]}  # type: ignore[attr-defined]
    assert asked(scores_of(study, task), "first").of(torch.ones(2, 2)).tolist() == [1.0, 1.0]


def test_unknown_answers_are_refused() -> None:
    study = study_of("table")
    with pytest.raises(StudyError, match="It has: healthy, ill"):
        asked(scores_of(study, build_task(study)), "il")
