"""Whether drawn images teach what real ones teach: train on drawn images, test on real ones.

Esteban, Hyland and Rätsch 2017, "Real-valued (medical) time series generation with recurrent conditional GANs" (TSTR).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from torch import nn
from torch.nn import functional

from client.synthesis.groups import Group, chosen_by_class

LEAST = 10
"""Images of every class that each set needs."""
STEPS, BATCH, RATE = 300, 64, 2e-3


@dataclass(frozen=True)
class Usefulness:
    """AUC on held-out images; with more than two classes the mean over classes, each against the rest.

    Attributes:
        drawn: of a classifier that saw drawn images only.
        real: of the same classifier, trained on training patients' images: as many of each class, where there are.
    """

    drawn: float
    real: float


def usefulness(
    drawn: Group, train: Group, held_out: Group, *, seed: int, device: torch.device
) -> Usefulness | None:
    """Train a classifier on drawn images and one on real ones; None where there are no classes, or too few images."""
    classes = int(drawn.labels.max()) + 1
    counts = [np.bincount(g.labels, minlength=classes) for g in (drawn, train, held_out)]
    if classes < 2 or min(count.min() for count in counts) < LEAST:
        return None
    rows = chosen_by_class(train.labels, counts[0], np.random.default_rng(seed))
    scores = (_scores(seen, held_out, classes, seed, device) for seen in (drawn, train.only(rows)))
    return Usefulness(*(_auc(held_out.labels, score) for score in scores))


def _scores(
    seen: Group, asked: Group, classes: int, seed: int, device: torch.device
) -> NDArray[np.float64]:
    """Return probabilities `[N, classes]` for the asked images of a classifier that was trained on the seen ones."""
    network = _network(seen.images.shape[1], classes, seed).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    images, labels = torch.from_numpy(seen.images), torch.from_numpy(seen.labels)
    share = torch.bincount(labels, minlength=classes).float()
    weight = (len(labels) / (classes * share)).to(device)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        rows = torch.randint(len(images), (BATCH,), generator=draw)
        said = network(images[rows].to(device))
        loss = functional.cross_entropy(said, labels[rows].to(device), weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        parts = torch.from_numpy(asked.images).split(256)
        found = torch.cat([network(part.to(device)).double().softmax(1).cpu() for part in parts])
    return found.numpy()


def _network(channels: int, classes: int, seed: int) -> nn.Module:
    """Return a small convolutional classifier; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(channels, 16, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(32 * 16, classes),
        )


def _auc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: how often a case of a class scores higher than one of the others."""
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    found = []
    for number in classes:
        cases, others = scores[labels == number, number], scores[labels != number, number]
        wins = mannwhitneyu(cases, others, method="asymptotic").statistic
        found.append(float(wins) / (len(cases) * len(others)))
    return float(np.mean(found))
