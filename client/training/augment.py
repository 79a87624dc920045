"""Random flips and quarter turns of images."""

from __future__ import annotations

import torch

from common.privacy.noise import SecureRandom


def augment(images: torch.Tensor, kinds: tuple[str, ...], random: SecureRandom) -> torch.Tensor:
    """Return every image `[B, C, H, W]` flipped and turned at random.

    Each sample changes by itself, so one patient's samples never touch another's. Quarter turns of images that are
    not square become half turns.
    """
    if not kinds or images.ndim != 4 or not len(images):
        return images
    codes = torch.from_numpy(random.integers(8, len(images))).to(images.device)
    result = images.clone()
    square = images.shape[2] == images.shape[3]
    for code in range(8):
        chosen = codes == code
        result[chosen] = _transform(images[chosen], code, kinds, square)
    return result


def _transform(
    images: torch.Tensor, code: int, kinds: tuple[str, ...], square: bool
) -> torch.Tensor:
    turns, flipped = code % 4, code // 4
    if "rotate" in kinds:
        images = torch.rot90(images, turns if square else 2 * (turns % 2), (2, 3))
    elif turns % 2:
        images = images.flip(2)
    return images.flip(3) if flipped and "flip" in kinds else images
