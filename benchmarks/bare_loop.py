"""The same federated training as a bare PyTorch loop: one thread, no messages, no ledger, no checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def network() -> nn.Module:
    """Return conv16-conv32-fc10."""
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def load(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a site's images, scaled to [-1, 1], and labels."""
    with np.load(path) as content:
        images = torch.from_numpy(content["images"]).float().unsqueeze(1) / 127.5 - 1
        return images, torch.from_numpy(content["labels"])


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """One epoch of SGD, batch 32."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for batch in torch.randperm(len(labels)).split(32):
        optimizer.zero_grad()
        F.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()


def main(folder: Path, rounds: int) -> None:
    """Federated averaging over the sites of a folder."""
    torch.set_num_threads(1)
    sites = [load(path) for path in sorted(folder.glob("*/images.npz"))]
    model = network()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(rounds):
        total = {name: torch.zeros_like(value) for name, value in weights.items()}
        for images, labels in sites:
            model.load_state_dict(weights)
            train(model, images, labels)
            for name, value in model.state_dict().items():
                total[name] += value / len(sites)
        weights = total
    torch.save(weights, folder / "bare.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
