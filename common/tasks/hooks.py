"""What a task may do beside its loss: change training samples at random, and look at a network in its own way.

A task that has none of these is trained and evaluated as it always was.

- `prepare(inputs, targets, random)` returns what the network sees in training and what the loss compares it with. It
  draws from the site's stream, so many numbers a sample whoever else is in the batch, and couples no two samples.
- `copies`: how often a drawn sample is prepared in one step; a unit's gradient is the mean over all of them.
- `examine(network, inputs, targets)` returns the outputs `[B, ...]` that are tallied. Nothing in it may be drawn from
  a stream that goes on from sample to sample: what one patient adds must not depend on the others.
- `described`: what goes into the network and comes out of it, for those who run an exported file: `input`, `output`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from common.memory_format import laid_out
from common.privacy.noise import SecureRandom


def prepared(
    task: Any, inputs: torch.Tensor, targets: torch.Tensor, random: SecureRandom
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return training samples as the task wants them; without the hook, as they are."""
    change = getattr(task, "prepare", None)
    if change is None or not len(inputs):
        return inputs, targets
    seen, asked = change(inputs, targets, random)
    return seen, asked


def example(task: Any, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return one sample in the shape that the network sees, from the first of some; its values mean nothing."""
    seen, _ = prepared(task, inputs[:1], targets[:1], SecureRandom.fixed(0, "shape"))
    return seen[0]


def copies(task: Any) -> int:
    """Return how often a drawn sample is prepared."""
    return int(getattr(task, "copies", 1))


def described(task: Any) -> Mapping[str, str]:
    """Return a task's own words on `input` and `output` of its network; without the hook, none."""
    words: Mapping[str, str] = getattr(task, "described", {})
    return words


def outputs_of(
    task: Any, network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return the outputs that a task tallies, for inputs `[B, ...]` on the network's device and targets anywhere."""
    look = getattr(task, "examine", None)
    found: torch.Tensor = (
        network(laid_out(inputs)) if look is None else look(network, inputs, targets)
    )
    return found
