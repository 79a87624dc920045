"""A classifier that was trained on generated CT: what explains its answer points at the mass (the pointing game)."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pytest
import torch

from client.explain.methods import explained
from client.explain.question import Question
from client.explain.scores import Score, asked, scores_of
from common.models import build_model
from common.study_file import parse_study
from common.study_template import template
from common.tasks import build_task
from common.tasks.points.regions import region_of
from simulations.hospitals.mass_marks import SIDE, SPACING, draw_lung
from simulations.hospitals.scanner import SCANNERS, acquire

TRAINED, SHOWN, PASSES = 240, 16, 10
LEAST = {"saliency": 0.8, "integrated-gradients": 0.8, "grad-cam": 0.5, "occlusion": 0.8}
"""Share of the masses that a method must hit; a mass takes about 3 % of its image."""
LEARNED = 0.3
"""More than with the weights before training: a mass is conspicuous, whatever a network has learned."""


def drawn(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return an image [1, SIDE, SIDE] in [-1, 1], every other one with a mass, and its points [1, 3]."""
    rng, scanner = np.random.default_rng([11, number]), SCANNERS[number // 2 % len(SCANNERS)]
    volume, mass = draw_lung(rng, scanner.thickness, ill=number % 2 == 1)
    image = np.clip((acquire(volume, scanner, rng, SPACING)[:1] + 500) / 600, -1, 1)
    point = [-1.0] * 3
    if mass is not None:
        point = [
            *(mass.centre[1:] / SPACING + 0.5) / SIDE,
            2 * mass.radius / SPACING / SIDE,
        ]
    return torch.from_numpy(image.astype(np.float32)), torch.tensor([point])


@pytest.fixture(scope="module")
def networks() -> tuple[Any, torch.nn.Module, torch.nn.Module]:
    """A study, its network before training, and after some passes over images with and without a mass."""
    content = tomllib.loads(template("arrays", "x"))
    content["task"] = {"name": "classification", "classes": ["none", "mass"]}
    content["data"] |= {"image_size": SIDE}
    content["model"] = {"name": "plain-cnn", "channels": [8, 16, 16]}
    study = parse_study(content, where="x")
    task = build_task(study)
    network = build_model(study, task.outputs)
    images = torch.stack([drawn(number)[0] for number in range(TRAINED)])
    truth = torch.arange(TRAINED) % 2
    torch.manual_seed(1)
    steps = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(PASSES):
        for rows in torch.randperm(TRAINED).split(24):
            steps.zero_grad()
            task.loss(network(images[rows]), truth[rows]).mean().backward()
            steps.step()
    return study, build_model(study, task.outputs).eval(), network.eval()


@pytest.fixture(scope="module")
def shown() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images that were not trained on, with a mass, and where it lies [SIDE, SIDE]."""
    found = [drawn(TRAINED + 2 * number + 1) for number in range(SHOWN)]
    return [(image, region_of(p[None], (SIDE, SIDE), (1.0, 1.0))[0]) for image, p in found]


@pytest.mark.parametrize("method", LEAST)
def test_explanations_point_at_the_mass(
    method: str, networks: Any, shown: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    study, fresh, trained = networks
    score = asked(scores_of(study, build_task(study)), "mass")
    before, after = (share_hit(method, network, score, shown) for network in (fresh, trained))
    chance = float(torch.stack([region for _, region in shown]).float().mean())
    assert chance < 0.05
    assert after >= LEAST[method]
    assert after >= before + LEARNED


def share_hit(
    method: str,
    network: torch.nn.Module,
    score: Score,
    shown: list[tuple[torch.Tensor, torch.Tensor]],
) -> float:
    """Return in how many images the strongest place lies in the mass."""
    hits = 0
    for image, region in shown:
        blank = torch.full_like(image[None], -1.0)
        values = explained(method, Question(network, score, image[None], blank, None))
        hits += bool(region[np.unravel_index(values.argmax(), values.shape)])
    return hits / len(shown)
