"""Changes training samples at random, as `[training] augment` says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from common.augmentations.base import Augmentation, AugmentationKind, Words, unit
from common.augmentations.turns import Flip, FlipAndRotate, Rotate
from common.plugins import Options
from common.privacy.noise import SecureRandom

Chosen = tuple[AugmentationKind, Options]
_TURNS = {frozenset({"flip"}): Flip, frozenset({"rotate"}): Rotate}


def augment(
    inputs: torch.Tensor,
    targets: torch.Tensor,
    kinds: Sequence[Augmentation],
    random: SecureRandom,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return samples, each changed by itself, and their targets: masks move with their images.

    A sample takes as many numbers of the stream as the study's list needs, whoever else is in the batch, so the
    result does not depend on how a step was cut into pieces.

    Args:
        inputs: `[B, C, H, W]`, `[B, C, D, H, W]` or `[B, T, C]`; left as they are.
        targets: `[B, ...]`; left as they are.
        kinds: in order.
        random: the stream that draws units.
    """
    if not kinds or not len(inputs):
        return inputs, targets
    chain = list(_chain(kinds))
    needed = [_words(each) for each in chain]
    words = random.integers(2**63, len(inputs) * sum(needed)).reshape(len(inputs), -1)
    parts = np.split(words, np.cumsum(needed)[:-1], axis=1)
    for chosen, part in zip(chain, parts, strict=True):
        inputs, targets = _applied(chosen, inputs, targets, part)
    return inputs, targets


def _chain(kinds: Sequence[Augmentation]) -> Iterator[Chosen]:
    """Yield what is applied; flips and turns are one, in the place of the first, as in studies that had no others."""
    turns = frozenset(each.name for each in kinds if each.name in ("flip", "rotate"))
    done = False
    for each in kinds:
        if each.name not in turns:
            yield each.kind()
        elif not done:
            done = True
            yield _TURNS.get(turns, FlipAndRotate), Options()


def _words(chosen: Chosen) -> int:
    """Numbers a sample takes: the plug-in's, and one more where it may be left as it is."""
    plug_in, options = chosen
    return plug_in.words + hasattr(options, "probability")


def _applied(
    chosen: Chosen, inputs: torch.Tensor, targets: torch.Tensor, words: Words
) -> tuple[torch.Tensor, torch.Tensor]:
    plug_in, options = chosen
    probability = getattr(options, "probability", None)
    if probability is None:
        return plug_in.apply(options, inputs, targets, words)
    coins = unit(words[:, 0]) < probability
    if not coins.any():
        return inputs, targets
    rows = torch.from_numpy(np.flatnonzero(coins)).to(inputs.device)
    changed, moved = plug_in.apply(options, inputs[rows], targets[rows], words[coins, 1:])
    return inputs.index_copy(0, rows, changed), targets.index_copy(0, rows, moved)
