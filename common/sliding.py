"""Runs a network of windows over images that are larger than these."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import nn

OVERLAP = 0.5
EMPTY = -1.0
"""What lies beyond the image: the lowest value that a sample has."""


def slide(
    network: nn.Module,
    images: torch.Tensor,
    window: Sequence[int],
    *,
    together: int = 4,
    overlap: float = OVERLAP,
) -> torch.Tensor:
    """Return the network's maps of whole images, put together from overlapping windows.

    A window counts most in its middle (a Gaussian weight, after Isensee et al. 2021), where the network sees what is
    round a pixel. An image smaller than the window is made larger with emptiness first.

    Args:
        network: maps `[B, C, *window]` to `[B, outputs, *window]`; it is switched to evaluation.
        images: `[N, C, rows, columns]` or `[N, C, depth, rows, columns]`, any size, on the network's device.
        window: spatial size of the samples that the network learned from.
        together: windows computed at once.
        overlap: share of a window that its neighbour covers too.

    Returns:
        `[N, outputs, ...]` with the images' own size.
    """
    from monai.inferers.utils import sliding_window_inference

    network.eval()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of how MONAI indexes tensors
        maps = sliding_window_inference(
            images, tuple(window), together, network, overlap, "gaussian", cval=EMPTY
        )
    assert isinstance(maps, torch.Tensor)  # MONAI also takes networks of several outputs
    return maps
