"""Sliding windows: whole images of any size, put together without seams."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from common.sliding import slide


class Sizes(nn.Module):
    """Maps every pixel to itself, and refuses samples of another size than the window."""

    def __init__(self, window: tuple[int, ...]) -> None:
        super().__init__()
        self.window = window

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[2:] == self.window
        return torch.cat([images, -images], 1)


@pytest.mark.parametrize(
    ("size", "window"),
    [((20, 30), (8, 8)), ((8, 8), (8, 8)), ((5, 30), (8, 8)), ((9, 20, 7), (4, 8, 8))],
)
def test_maps_of_pixels_alone_are_those_of_the_whole_image(
    size: tuple[int, ...], window: tuple[int, ...]
) -> None:
    images = torch.rand(2, 1, *size)
    maps = slide(Sizes(window), images, window)
    torch.testing.assert_close(maps, torch.cat([images, -images], 1))


def test_the_middle_of_a_window_counts_most() -> None:
    class Border(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            maps = torch.zeros_like(images)
            maps[..., 0] = 1.0  # wrong in every window's first column
            return maps

    maps = slide(Border(), torch.rand(1, 1, 8, 64), (8, 8))
    assert maps[..., 4:60].max() < 0.5


def test_evaluation_mode_and_no_gradients() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Dropout(0.9)).train()
    first, again = (slide(network, torch.ones(1, 1, 9, 9), (4, 4)) for _ in range(2))
    assert not first.requires_grad
    assert torch.equal(first, again)
