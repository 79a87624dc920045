"""Detection: where something lies in an image, and how large it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field, field_validator

from common.plugins import Options
from common.tasks.base import Floats, Metrics, Tally
from common.tasks.figures.detection import (
    RATES,
    average_precision,
    froc,
    hidden,
    sensitivity_at,
)
from common.tasks.points.heat import PRIOR_LOG_ODDS, heat_loss, heat_of, present, shape_loss
from common.tasks.points.matching import near, outcomes, overlap
from common.tasks.points.peaks import Found, peaks
from common.tasks.surfaces import grid_of

if TYPE_CHECKING:
    from common.study import Study

BINS = 25
"""Of the scores."""


class DetectionOptions(Options):
    """Options of the task.

    Attributes:
        candidates: points that are looked at in an image, the surest; a bound on what an image adds to the figures.
        least_score: what is less sure is not looked at.
        overlaps: shares of overlap (intersection over union of boxes) from which a find counts, for `map`.
        size_weight: of the error of sizes in the loss.
        place_weight: of the error of the place within a cell in the loss.
    """

    candidates: int = Field(default=4, ge=1, le=256)
    least_score: float = Field(default=0.05, ge=0.0, lt=1.0)
    overlaps: tuple[float, ...] = Field(default=(0.1, 0.3, 0.5), min_length=1, max_length=10)
    size_weight: float = Field(default=0.5, ge=0.0)
    place_weight: float = Field(default=0.5, ge=0.0)

    @field_validator("overlaps")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 < share < 1 for share in value) or list(value) != sorted(set(value)):
            raise ValueError("overlaps must be rising shares between 0 and 1")
        return value


class Detection:
    """Objects as points (Zhou, Wang and Krähenbühl 2019): a map of heat, with sizes and places.

    The network has 2 + d outputs for each cell of a map of any size: log odds of a point, logarithm of its diameter
    as a share of the image's last axis, and its place in the cell along each of d axes.

    What is counted of an image is bounded: it has at most `candidates` finds, each a hit or false, once by distance
    and once for each overlap; and at most `max_points` true points.
    """

    Options = DetectionOptions
    classes: tuple[str, ...] | None = None
    headline = "froc"
    targets = frozenset({"points"})
    pools_patients = False

    def __init__(self, options: DetectionOptions, study: Study) -> None:
        self.options = options
        self.structure: str = study.data.structures[0]  # type: ignore[union-attr]
        self.grid = grid_of(study.data)
        pairs = zip(self.grid.shape, self.grid.spacing, strict=True)
        lengths = [side * step for side, step in pairs]
        self.extent = tuple(length / lengths[-1] for length in lengths)
        self.outputs = 2 + len(lengths)
        ways = 1 + len(options.overlaps)
        self.tally_layout = {
            "hits": (ways, BINS),
            "false": (ways, BINS),
            "true": (1,),
            "images": (1,),
        }
        rows: int = study.data.point_rows  # type: ignore[union-attr]
        self.tally_bound = math.sqrt(ways * options.candidates**2 + rows**2 + 1)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every image, `[B]`, for outputs `[B, 2 + d, *grid]` and points `[B, P, d + 1]`."""
        outputs, points = outputs.float(), targets.float()
        grid = tuple(outputs.shape[2:])
        wanted = heat_of(points, grid, self.extent)
        heat = heat_loss(outputs[:, 0] + PRIOR_LOG_ODDS, wanted, present(points).sum(1))
        size, place = shape_loss(outputs[:, 1:], points, grid)
        return heat + self.options.size_weight * size + self.options.place_weight * place

    def found(self, outputs: torch.Tensor) -> Found:
        """Return what a network found, the surest first."""
        return peaks(outputs, self.options.candidates, self.options.least_score)

    def answers(self, outputs: torch.Tensor) -> dict[str, list[float | None]]:
        """Return what was found as columns with one value an image, empty where there is no further find.

        `score_1` is the surest. Places are pixels of the sample (0 is the middle of the first, `slice_1` in volumes),
        diameters mm, or pixels where the study does not say how large these are.
        """
        found = self.found(outputs)
        pixels = found.place * torch.tensor(self.grid.shape) - 0.5
        size = found.size * self.grid.shape[-1] * self.grid.spacing[-1]
        axes = ("slice", "row", "column")[-len(self.grid.shape) :]
        columns: dict[str, list[float | None]] = {}
        for number in range(found.score.shape[1]):
            values = {"score": found.score[:, number]}
            values |= {axis: pixels[:, number, a] for a, axis in enumerate(axes)}
            values[f"diameter_{self.grid.unit}"] = size[:, number]
            for name, column in values.items():
                pairs = zip(column.tolist(), found.score[:, number].tolist(), strict=True)
                columns[f"{name}_{number + 1}"] = [round(v, 4) if s > 0 else None for v, s in pairs]
        return columns

    def scores(self) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
        """Return what can be explained: how sure the surest find is, as log odds `[B]`."""
        return {self.structure: lambda outputs: outputs[:, 0].flatten(1).amax(1) + PRIOR_LOG_ODDS}

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Count hits and false finds by score, true points and images."""
        found, points = self.found(outputs), targets.float()
        extent = torch.tensor(self.extent)
        boxes = overlap(found, points, extent)
        each = [outcomes(found, points, near(found, points, extent), 0.0, again=False)]
        each += [outcomes(found, points, boxes, s, again=True) for s in self.options.overlaps]
        sums = [[_by_score(found.score, way, weights) for way in ways] for ways in each]
        hits, false = (np.stack(way) for way in zip(*sums, strict=True))
        weight = weights.double()
        true = float((present(points).sum(1) * weight).sum())
        images = np.array([float(weight.sum())])
        return Tally({"hits": hits, "false": false, "true": np.array([true]), "images": images})

    def metrics(self, tally: Tally) -> Metrics:
        """Return `froc` (mean sensitivity at the seven rates of LUNA16), the sensitivity at one false find an image,
        `map` (mean over the overlaps of the average precision), that of each overlap, and true points an image.
        """
        true, images = (float(tally.arrays[name][0]) for name in ("true", "images"))
        names = [f"ap_{round(100 * share)}" for share in self.options.overlaps]
        count = {"count": max(images, 0.0)}
        if hidden(true, images, tally.variance):
            return dict.fromkeys(("froc", "sensitivity_at_1", "map", *names), math.nan) | count
        hits, false = tally.arrays["hits"], tally.arrays["false"]
        rates, sensitivity = froc(hits[0], false[0], true, images)
        at = [sensitivity_at(rates, sensitivity, rate) for rate in RATES]
        pairs = zip(hits[1:], false[1:], strict=True)
        precisions = [average_precision(*pair, true) for pair in pairs]
        return {
            "froc": float(np.mean(at)),
            "sensitivity_at_1": at[RATES.index(1.0)],
            "map": float(np.mean(precisions)),
            **dict(zip(names, precisions, strict=True)),
            "points_per_image": true / images,
            **count,
        }

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the FROC as a plot, and as a table at the rates."""
        true, images = (float(tally.arrays[name][0]) for name in ("true", "images"))
        if hidden(true, images, tally.variance):
            return {}
        hits, false = tally.arrays["hits"][0], tally.arrays["false"][0]
        rates, sensitivity = froc(hits, false, true, images)
        rows = [
            {"name": f"{rate:g}", "values": [sensitivity_at(rates, sensitivity, rate)]}
            for rate in RATES
        ]
        return {"tables": [_table(rows)], "plots": [_plot(rates, sensitivity)]}


def _by_score(score: torch.Tensor, which: torch.Tensor, weights: torch.Tensor) -> Floats:
    """Return the weights of the chosen finds by bin of their score, `[BINS]`."""
    bins = (score * BINS).long().clamp(max=BINS - 1)
    each = weights.double().unsqueeze(1) * which
    sums = np.bincount(bins.flatten().numpy(), each.flatten().numpy(), BINS)
    return np.asarray(sums, dtype=np.float64)


def _table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "title": "Found, by how many false finds are borne",
        "first": "False finds an image",
        "columns": ["Sensitivity"],
        "rows": rows,
    }


def _plot(rates: Floats, sensitivity: Floats) -> dict[str, Any]:
    line = {
        "name": "all sites",
        "x": [0.0, *rates.tolist()],
        "y": [0.0, *sensitivity.tolist()],
    }
    return {
        "title": "Free-response ROC",
        "x_label": "False finds an image",
        "y_label": "Sensitivity",
        "lines": [line],
    }
