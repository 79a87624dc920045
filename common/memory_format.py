"""Channels-last order for images, in which pooling and convolution are faster."""

from __future__ import annotations

import torch
from torch import nn


def channels_last(network: nn.Module) -> nn.Module:
    """Return the network with its 2D filters in channels-last order."""
    if any(p.ndim == 4 for p in network.parameters()):
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def laid_out(inputs: torch.Tensor) -> torch.Tensor:
    """Return images `[B, C, H, W]` in channels-last order, and anything else as it is."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs
