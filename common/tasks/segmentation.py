"""Segmentation: which structure every pixel of an image belongs to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from common.errors import StudyError
from common.plugins import Options
from common.tasks import surfaces
from common.tasks.base import Floats, Metrics, Tally

if TYPE_CHECKING:
    from common.study import Study

SMOOTH = 1.0
"""Pixels added above and below in the Dice loss: an image without the structure asks for an empty answer."""
SHARES = ("overlap", "predicted", "true")
"""Sums over pixels, as shares of an image."""


class SegmentationOptions(Options):
    """Options of the task.

    Attributes:
        loss: the sum of soft Dice and cross-entropy, or one of them.
        class_weights: public constants that multiply the cross-entropy of pixels of the background and of each
            structure, in this order.
        hausdorff_ceiling: distance at which an image's Hausdorff distance is cut, in mm (in pixels where the study
            does not say how large these are); none: half the image's diagonal.
    """

    loss: Literal["dice-ce", "dice", "ce"] = "dice-ce"
    class_weights: tuple[float, ...] | None = None
    hausdorff_ceiling: float | None = Field(default=None, gt=0)


class Segmentation:
    """Soft Dice (Milletari et al. 2016) and cross-entropy of each image by itself.

    A pixel belongs to one structure or to none, so the network has an output for the background and one for each
    structure. The Dice of a whole batch, which is common elsewhere, would couple its images: here every image has a
    Dice of its own. What is tallied of an image is at most 1: shares of its pixels, its own Dice, and its Hausdorff
    distance as a share of a public ceiling.
    """

    Options = SegmentationOptions
    classes: tuple[str, ...] | None = None
    headline = "dice"
    targets = frozenset({"mask"})
    pools_patients = False

    def __init__(self, options: SegmentationOptions, study: Study) -> None:
        self.kind = options.loss
        self.structures: tuple[str, ...] = study.data.structures  # type: ignore[union-attr]
        self.outputs = len(self.structures) + 1
        self.class_weights = _weights(options.class_weights, self.outputs)
        self.grid = surfaces.grid_of(study.data)
        self.ceiling = options.hausdorff_ceiling or self.grid.diagonal / 2
        each = (len(self.structures),)
        names = (*SHARES, "dice", "hausdorff", "present")
        self.tally_layout = dict.fromkeys(names, each) | {"images": (1,)}
        # The shares of all structures together are at most 1, so each of the three sums has norm 1 at most.
        self.tally_bound = math.sqrt(len(SHARES) + 3 * len(self.structures) + 1)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every image, `[B]`, for outputs `[B, 1 + structures, ...]` and masks `[B, ...]`."""
        outputs, truth = outputs.float(), targets.long()
        total = outputs.new_zeros(len(outputs))
        if self.kind != "dice":
            weights = self.class_weights.to(outputs.device)
            entropy = F.cross_entropy(outputs, truth, weights, reduction="none")
            total = total + entropy.flatten(1).mean(1)
        return total if self.kind == "ce" else total + _dice_loss(outputs, truth)

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Sum shares of pixels, and the Dice and cut Hausdorff distance of images that show the structure."""
        numbers = torch.arange(1, self.outputs).view(-1, *[1] * (targets.ndim - 1))
        drawn, truth = outputs.argmax(1).unsqueeze(1) == numbers, targets.unsqueeze(1) == numbers
        own = _shares(drawn, truth)
        present = truth.flatten(2).any(2)
        own["dice"] = _dice(own["overlap"], own["predicted"], own["true"])
        away = surfaces.hausdorff95(drawn, truth, self.grid).clamp(max=self.ceiling) / self.ceiling
        own["hausdorff"] = torch.where(present, away, 0.0)
        own["present"] = present.double()
        weight = weights.double()
        sums = {name: (value * weight.unsqueeze(1)).sum(0).numpy() for name, value in own.items()}
        return Tally(sums | {"images": np.array([float(weight.sum())])})

    def metrics(self, tally: Tally) -> Metrics:
        """Return means over the structures: Dice of an image, and of all images' pixels together Dice and IoU.

        `hausdorff95_mm` (`_px`) is the mean over images of the 95th percentile of the distances between the borders.
        """
        table = self._by_structure(tally)
        figures = {name: _mean(values) for name, values in table.items() if name != "images"}
        each = zip(self.structures, table["dice"], strict=True)
        figures |= {f"dice_{name.replace(' ', '_')}": float(value) for name, value in each}
        return figures | {"count": float(max(tally.arrays["images"][0], 0.0))}

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the figures by structure."""
        table = {name: values.tolist() for name, values in self._by_structure(tally).items()}
        return {"structures": {"names": list(self.structures), **table}}

    def _by_structure(self, tally: Tally) -> dict[str, Floats]:
        """Return each figure for every structure; NaN where nobody has it, or where noise made it impossible."""
        sums = tally.arrays
        overlap, drawn, true = (sums[name] for name in SHARES)
        return {
            "dice": _ratio(sums["dice"], sums["present"]),
            "pooled_dice": _ratio(2 * overlap, drawn + true),
            "pooled_iou": _ratio(overlap, drawn + true - overlap),
            "pooled_sensitivity": _ratio(overlap, true),
            "pooled_precision": _ratio(overlap, drawn),
            f"hausdorff95_{self.grid.unit}": self.ceiling
            * _ratio(sums["hausdorff"], sums["present"]),
            "images": np.clip(sums["present"], 0, None),
        }


def _weights(given: tuple[float, ...] | None, outputs: int) -> torch.Tensor:
    weights = given or (1.0,) * outputs
    if len(weights) != outputs or min(weights) <= 0:
        raise StudyError(
            f"class_weights has {len(weights)} values; {outputs} positive ones are needed.",
            where="[task] class_weights",
            fix="Give one for the background and one for each structure.",
        )
    return torch.tensor(weights, dtype=torch.float32)


def _dice_loss(outputs: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return 1 - the soft Dice of every image, averaged over the structures (not the background), `[B]`."""
    width = outputs.shape[1]
    drawn = outputs.softmax(1)[:, 1:].flatten(2)
    shown = F.one_hot(truth, width).movedim(-1, 1)[:, 1:].flatten(2).to(drawn.dtype)
    overlap, sizes = (drawn * shown).sum(2), drawn.sum(2) + shown.sum(2)
    return (1 - (2 * overlap + SMOOTH) / (sizes + SMOOTH)).mean(1)


def _shares(drawn: torch.Tensor, truth: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return how much of each image overlaps, is predicted and is true, `[B, structures]`."""
    masks = zip(SHARES, (drawn & truth, drawn, truth), strict=True)
    return {name: mask.flatten(2).double().mean(2) for name, mask in masks}


def _dice(overlap: torch.Tensor, drawn: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Return the Dice of images that show the structure, 0 for others."""
    return torch.where(true > 0, 2 * overlap / (drawn + true).clamp(min=1e-12), 0.0)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Return shares; NaN where there is no whole, or where noise pushed the part outside of it."""
    possible = (whole > 0) & (part >= 0) & (part <= whole * (1 + 1e-9))
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=possible)


def _mean(values: Floats) -> float:
    """Return the mean over the structures that somebody has."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
