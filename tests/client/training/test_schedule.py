"""The learning rate from round to round, and the average of the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from client.training.optimizer import LocalOptimizer
from client.training.schedule import learning_rate
from common.algorithms import build_algorithm
from common.study import Study

Make = Callable[..., Study]


def rates(make: Make, rounds: int, **schedule: Any) -> list[float]:
    study = make(
        training={"learning_rate": 1.0, "schedule": schedule}, federation={"rounds": rounds}
    )
    return [round(learning_rate(study, number), 4) for number in range(1, rounds + 1)]


def test_the_rate_follows_its_schedule(make_study: Make) -> None:
    assert rates(make_study, 5, name="cosine") == [1, 0.8536, 0.5, 0.1464, 0]
    assert rates(make_study, 5, name="linear", final_share=0.2) == [1, 0.8, 0.6, 0.4, 0.2]
    assert rates(make_study, 5, name="step", every=2, factor=0.1) == [1, 1, 0.1, 0.1, 0.01]
    assert rates(make_study, 4, name="constant", warmup_rounds=3) == [0.25, 0.5, 0.75, 1]
    assert rates(make_study, 5, name="cosine", warmup_rounds=2) == [0.3333, 0.6667, 1, 0.5, 0]
    assert rates(make_study, 1, name="cosine") == [1]


def test_without_one_it_stays_and_the_fingerprint_too(make_study: Make) -> None:
    study = make_study()
    assert learning_rate(study, 1) == learning_rate(study, 2) == 0.1
    assert not {"schedule", "ema"} & study.content()["training"].keys()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_rate_reaches_the_step(make_study: Make, optimizer: str) -> None:
    def moved(rate: float) -> torch.Tensor:
        study = make_study(training={"optimizer": optimizer})
        layer = nn.Linear(2, 1)
        start = layer.weight.detach().clone()
        layer.weight.grad = torch.ones(1, 2)
        LocalOptimizer(layer, study.training, build_algorithm(study), rate).step()
        return start - layer.weight.detach()

    torch.testing.assert_close(moved(0.02), 2 * moved(0.01), rtol=1e-3, atol=1e-7)


def test_adamw_is_adam_with_its_decay_decoupled(make_study: Make) -> None:
    found = []
    for optimizer in ("adam", "adamw"):
        study = make_study(training={"optimizer": optimizer, "weight_decay": 0.1})
        torch.manual_seed(1)
        layer = nn.Linear(2, 1)
        layer.weight.grad = torch.ones(1, 2)
        LocalOptimizer(layer, study.training, build_algorithm(study)).step()
        found.append(layer.weight.detach())
    assert torch.equal(*found)


def test_what_is_sent_is_the_moving_average(make_study: Make) -> None:
    study = make_study(training={"optimizer": "sgd", "ema": 0.75})
    layer = nn.Linear(1, 1, bias=False)
    optimizer = LocalOptimizer(layer, study.training, build_algorithm(study), 1.0)
    seen = []
    for _ in range(3):
        layer.weight.grad = torch.ones(1, 1)
        optimizer.step()
        seen.append(layer.weight.item())
    optimizer.finish()
    expected = 0.75 * (0.75 * seen[0] + 0.25 * seen[1]) + 0.25 * seen[2]
    assert layer.weight.item() == pytest.approx(expected)
