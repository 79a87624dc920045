"""Localisation from what is known of whole images: a classifier whose map shows where it looks."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field

from common.errors import StudyError
from common.plugins import Options
from common.tasks.base import Metrics, Tally
from common.tasks.classification import Classification, ClassificationOptions
from common.tasks.figures.intervals import interval
from common.tasks.points.heat import present
from common.tasks.points.regions import overlap, region_of
from common.tasks.surfaces import grid_of

if TYPE_CHECKING:
    from common.study import Study


class LocalisationOptions(Options):
    """Options of the task.

    Attributes:
        sharpness: how much the highest cells of the map count in the image's answer: 0 takes the mean of all (Zhou et
            al. 2016), more comes close to the highest (Pinheiro and Collobert 2015). Small findings need more.
        class_weights: public constants that multiply the loss of images without and with the finding.
    """

    sharpness: float = Field(default=4.0, ge=0.0, le=100.0)
    class_weights: tuple[float, float] | None = None


class Localisation:
    """Is the finding in the image; and does the class-activation map point at it?

    B. Zhou et al., "Learning Deep Features for Discriminative Localization", 2016: the map of log odds before pooling
    is the class-activation map. Training sees only whether an image shows the finding, never where. The places are
    used to score alone, by the pointing game (J. Zhang et al., "Top-down Neural Attention by Excitation Backprop",
    2016): of the images that show the finding, in how many does the map's highest cell lie in it?

    What is counted of an image beside its classification is at most 1 each: a hit, and the share of the image that the
    finding takes, which is how often a finger put down at random would hit. Masks know the finding's outline, and so
    they also count how much of it the map covers: the intersection over union of the two.
    """

    Options = LocalisationOptions
    headline = "pointing"
    targets = frozenset({"mask", "points"})
    pools_patients = False
    outputs = 1
    described = MappingProxyType(
        {"output": "map of log odds [batch, 1, …]: its highest cell points at the finding"}
    )

    def __init__(self, options: LocalisationOptions, study: Study) -> None:
        self.sharpness = options.sharpness
        self.masks = study.data.target_kind == "mask"
        self.structure: str = _only(study.data.structures)  # type: ignore[union-attr]
        self.grid = grid_of(study.data)
        lengths = [
            side * step for side, step in zip(self.grid.shape, self.grid.spacing, strict=True)
        ]
        self.extent = tuple(length / lengths[-1] for length in lengths)
        self.classes: tuple[str, ...] | None = (f"no {self.structure}", self.structure)
        whole = ClassificationOptions(classes=self.classes, class_weights=options.class_weights)
        self.whole = Classification(whole, study)
        own = ("hits", "share", "overlap") if self.masks else ("hits", "share")
        self.tally_layout = {**self.whole.tally_layout, **dict.fromkeys(own, (1,))}
        self.tally_bound = math.sqrt(self.whole.tally_bound**2 + len(own))

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of every image in nats, `[B]`, for maps `[B, 1, *grid]`.

        Of targets, points `[B, P, d + 1]` or masks `[B, *pixels]`, it only matters whether there is something.
        """
        return self.whole.loss(self._two(outputs), self._shown(targets))

    def log_odds(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the log odds that an image shows the finding, `[B]`."""
        cells = outputs[:, 0].float().flatten(1)
        if self.sharpness == 0:
            return cells.mean(1)
        sums = (self.sharpness * cells).logsumexp(1) - math.log(cells.shape[1])
        return sums / self.sharpness

    def _two(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the outputs of a classifier with two classes, `[B, 2]`."""
        found = self.log_odds(outputs)
        return torch.stack([torch.zeros_like(found), found], 1)

    def _shown(self, targets: torch.Tensor) -> torch.Tensor:
        """Return which images show the finding, `[B]` int64."""
        if self.masks:
            return (targets == 1).flatten(1).any(1).long()
        return present(targets.float()).any(1).long()

    def _region(self, targets: torch.Tensor) -> torch.Tensor:
        """Return which pixels lie in the finding, `[B, *pixels]`."""
        if self.masks:
            return targets == 1
        return region_of(targets.float(), self.grid.shape, self.extent)

    def place(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return the middle of the map's highest cell, `[B, d]`, as shares of the image's sides."""
        grid = tuple(outputs.shape[2:])
        highest = outputs[:, 0].flatten(1).argmax(1)
        cells = torch.stack(torch.unravel_index(highest, grid), dim=-1)
        return (cells + 0.5) / torch.tensor(grid)

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Count what a classification counts, and of images with the finding hits and its share of the pixels."""
        whole = self.whole.tally(self._two(outputs), self._shown(targets), inputs, weights)
        region = self._region(targets)
        pixels = (self.place(outputs) * torch.tensor(self.grid.shape)).long()
        hit = region[(torch.arange(len(region)), *pixels.T)]
        share = region.flatten(1).double().mean(1)
        weight = weights.double()
        own = {"hits": (hit * weight).sum(), "share": (share * weight).sum()}
        if self.masks:
            own["overlap"] = (overlap(outputs, region) * weight).sum()
        return Tally({**whole.arrays, **{n: np.array([float(v)]) for n, v in own.items()}})

    def metrics(self, tally: Tally) -> Metrics:
        """Return `pointing` with its interval, `baseline_pointing` of a finger put down at random, and what a
        classification returns; with masks also `iou`, the mean overlap, and `baseline_iou` of marking the whole image.
        NaN where noise hides the images with the finding.
        """
        known = self.whole.metrics(tally)
        hits, share = (float(tally.arrays[name][0]) for name in ("hits", "share"))
        shown = float(tally.arrays["confusion"][1].sum())
        hidden = shown <= 2 * math.sqrt(2 * tally.variance)
        hits = min(max(hits, 0.0), max(shown, 0.0))
        random = math.nan if hidden else min(max(share / shown, 0.0), 1.0)
        low, high = (math.nan, math.nan) if hidden else interval(hits, shown - hits, tally.variance)
        own = {
            "pointing": math.nan if hidden else hits / shown,
            "pointing_low": low,
            "pointing_high": high,
            "baseline_pointing": random,
        }
        if self.masks:
            covered = float(tally.arrays["overlap"][0])
            own["iou"] = math.nan if hidden else min(max(covered / shown, 0.0), 1.0)
            own["baseline_iou"] = random
        return own | known

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the curves of the classification, and a table of where the map points."""
        figures, found = self.metrics(tally), self.whole.curves(tally)
        if math.isnan(figures["pointing"]):
            return found
        rows = [
            {"name": "The map's highest cell", "values": [figures["pointing"]]},
            {"name": "A finger put down at random", "values": [figures["baseline_pointing"]]},
        ]
        title = f"Of the images with {self.structure}: points at it"
        tables = [{"title": title, "first": "", "columns": ["Share"], "rows": rows}]
        if self.masks:
            rows = [
                {"name": "The map, from half its height up", "values": [figures["iou"]]},
                {"name": "The whole image", "values": [figures["baseline_iou"]]},
            ]
            title = f"Of the images with {self.structure}: overlap with it"
            tables.append({"title": title, "first": "", "columns": ["IoU"], "rows": rows})
        return found | {"tables": tables}

    def answers(self, outputs: torch.Tensor) -> dict[str, list[float | None]]:
        """Return `score_1`, the chance that an image shows the finding, and the pixel that the map points at.

        0 is the middle of the first pixel; volumes have `slice_1`, too.
        """
        pixels = self.place(outputs) * torch.tensor(self.grid.shape) - 0.5
        axes = ("slice", "row", "column")[-len(self.grid.shape) :]
        columns: dict[str, list[float | None]] = {
            "score_1": [round(value, 6) for value in self.log_odds(outputs).sigmoid().tolist()]
        }
        return columns | {f"{axis}_1": pixels[:, a].tolist() for a, axis in enumerate(axes)}

    def scores(self) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
        """Return what can be explained: the log odds that the image shows the finding, `[B]`."""
        return {self.structure: self.log_odds}


def _only(structures: tuple[str, ...]) -> str:
    """Return the name of the one finding.

    Raises:
        StudyError: there are several.
    """
    if len(structures) == 1:
        return structures[0]
    raise StudyError(
        f"Task 'localisation' looks for one finding, and the data have {len(structures)} structures.",
        where="[data] structures",
        fix="Name one of them.",
    )
