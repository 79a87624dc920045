"""Classification into two or more exclusive classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator

from common.plugins import Options
from common.tasks import roc
from common.tasks.base import Metrics, Tally
from common.tasks.figures.confusion import of_two, over_classes
from common.tasks.figures.ranking import score_curves, score_figures

if TYPE_CHECKING:
    from common.study import Study

LOSS_CEILING = 10.0
"""Nats at which one unit's log loss is cut in the tally, so that its contribution is bounded."""


class ClassificationOptions(Options):
    """Options of the task.

    Attributes:
        classes: names of the classes in the order of the outputs; of two, the second is the positive one.
        class_weights: public constants that multiply the loss of a class's samples.
    """

    classes: tuple[str, ...] = Field(min_length=2)
    class_weights: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ClassificationOptions:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("every class needs a name of its own")
        weights = self.class_weights
        if weights is not None and (len(weights) != len(self.classes) or min(weights) <= 0):
            raise ValueError("give one positive weight for every class")
        return self


class Classification:
    """Cross-entropy over exclusive classes; confusion counts and score histograms as tally.

    The histograms are one-against-rest, `[class, label, bin]`; of two classes only the positive one has one.
    """

    Options = ClassificationOptions
    headline = "auc"
    targets = frozenset({"class"})
    pools_patients = True

    def __init__(self, options: ClassificationOptions, study: Study) -> None:
        self.classes: tuple[str, ...] | None = options.classes
        self.names = options.classes
        self.outputs = len(options.classes)
        self.bins = study.evaluation.score_bins
        weights = options.class_weights or (1.0,) * self.outputs
        self.class_weights = torch.tensor(weights, dtype=torch.float32)
        self.scored = [1] if self.outputs == 2 else list(range(self.outputs))
        self.tally_layout = {
            "confusion": (self.outputs, self.outputs),
            "scores": (len(self.scored), 2, self.bins),
            "log_loss": (1,),
        }
        self.tally_bound = math.sqrt(1 + len(self.scored) + 1)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the weighted cross-entropy of every sample, in nats, `[B]`."""
        weights = self.class_weights.to(outputs.device)[targets]
        return F.cross_entropy(outputs, targets, reduction="none") * weights

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Count predictions `[true, predicted]`, scores and clipped log losses (scaled to at most 1)."""
        log_odds = _log_odds(outputs)[:, self.scored].numpy()
        truth, predicted = targets.numpy(), outputs.argmax(1).numpy()
        weight = weights.double().numpy()
        confusion = np.zeros(self.tally_layout["confusion"])
        np.add.at(confusion, (truth, predicted), weight)
        scores = np.zeros(self.tally_layout["scores"])
        bins = roc.to_bins(log_odds, self.bins)
        for row, name in enumerate(self.scored):
            np.add.at(scores[row], ((truth == name).astype(int), bins[:, row]), weight)
        losses = F.cross_entropy(outputs, targets, reduction="none").clamp(max=LOSS_CEILING)
        total = float((losses.double() * weights.double()).sum()) / LOSS_CEILING
        return Tally({"confusion": confusion, "scores": scores, "log_loss": np.array([total])})

    def metrics(self, tally: Tally) -> Metrics:
        """Return loss, accuracy, AUC, average precision and calibration, and for two classes the clinic's four."""
        confusion, noise = tally.arrays["confusion"], tally.variance
        count = float(np.clip(confusion, 0, None).sum())
        figures = {
            "loss": _loss(float(tally.arrays["log_loss"][0]), count),
            **over_classes(confusion, noise),
            **score_figures(list(tally.arrays["scores"]), noise, self.outputs),
            "count": count,
        }
        return figures | (of_two(confusion, noise) if self.outputs == 2 else {})

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the confusion matrix, and by class its ROC, precision-recall, calibration and decision curves."""
        pairs = zip(self.scored, tally.arrays["scores"], strict=True)
        histograms = {self.names[number]: scores for number, scores in pairs}
        matrix = np.clip(tally.arrays["confusion"], 0, None).tolist()
        return score_curves(histograms, tally.variance, self.outputs) | {"confusion": matrix}


def _log_odds(outputs: torch.Tensor) -> torch.Tensor:
    """Return each class's log odds against the mean of the others, `[B, classes]`, exact for any confidence.

    A network that knows nothing gives 0, where the bins are finest, however many classes there are.
    """
    values = outputs.double()
    own = torch.eye(values.shape[1], dtype=torch.bool)
    others = values.unsqueeze(1).masked_fill(own, -math.inf)
    return values - torch.logsumexp(others, dim=2) + math.log(values.shape[1] - 1)


def _loss(total: float, count: float) -> float:
    """Return the mean log loss; NaN where noise pushed the sum below 0, which no loss can be."""
    return total * LOSS_CEILING / count if total >= 0 and count > 0 else math.nan
