"""Several findings of one sample, each present, absent or unknown: what a chest radiograph's report tells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator

from common.plugins import Options
from common.tasks import roc
from common.tasks.base import Floats, Metrics, Tally
from common.tasks.figures.confusion import of_two
from common.tasks.figures.ranking import score_curves, score_figures

if TYPE_CHECKING:
    from common.study import Study

LOSS_CEILING = 10.0
"""Nats at which a finding's log loss is cut in the tally, so that its contribution is bounded."""
OF_A_TEST = ("sensitivity", "specificity", "precision", "f1")


class MultiLabelOptions(Options):
    """Options of the task.

    Attributes:
        findings: their names in the order of the outputs.
        positive_weights: public constants that multiply the loss where a finding is present; rare ones need more.
    """

    findings: tuple[str, ...] = Field(min_length=1, max_length=256)
    positive_weights: tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> MultiLabelOptions:
        if len(set(self.findings)) != len(self.findings):
            raise ValueError("every finding needs a name of its own")
        weights = self.positive_weights
        if weights is not None and (len(weights) != len(self.findings) or min(weights) <= 0):
            raise ValueError("give one positive weight for every finding")
        return self


class MultiLabel:
    """Binary cross-entropy of every finding; confusion counts and score histograms of each as tally.

    Targets are `[B, L]` of 1 (present), 0 (absent) and −1 (unknown: no loss, and in no count).
    """

    Options = MultiLabelOptions
    headline = "auc"
    targets = frozenset({"classes"})
    pools_patients = True

    def __init__(self, options: MultiLabelOptions, study: Study) -> None:
        self.classes: tuple[str, ...] | None = options.findings
        self.names = options.findings
        self.outputs = len(options.findings)
        self.bins = study.evaluation.score_bins
        weights = options.positive_weights or (1.0,) * self.outputs
        self.positive_weights = torch.tensor(weights, dtype=torch.float32)
        self.tally_layout = {
            "confusion": (self.outputs, 2, 2),
            "scores": (self.outputs, 2, self.bins),
            "log_loss": (self.outputs,),
        }
        self.tally_bound = math.sqrt(3 * self.outputs)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every sample in nats, `[B]`: the sum over known findings by the number of all.

        The divisor is the public number of findings: how much is known of a sample does not change its scale.
        """
        losses = self._losses(outputs, targets)
        weights = torch.where(targets > 0, self.positive_weights.to(outputs.device), 1.0)
        return (losses * weights).sum(1) / self.outputs

    def _losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the log loss of every finding, `[B, L]`, 0 where it is unknown."""
        truth = targets.clamp(min=0).to(outputs.dtype)
        losses = F.binary_cross_entropy_with_logits(outputs, truth, reduction="none")
        return losses.masked_fill(targets < 0, 0.0)

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Count predictions `[finding, true, predicted]`, scores and clipped log losses (scaled to at most 1)."""
        row, finding = np.nonzero(targets.numpy() >= 0)
        truth = targets.numpy()[row, finding].astype(np.int64)
        log_odds = outputs.double().numpy()[row, finding]
        weight = weights.double().numpy()[row]
        confusion = np.zeros(self.tally_layout["confusion"])
        np.add.at(confusion, (finding, truth, (log_odds > 0).astype(np.int64)), weight)
        scores = np.zeros(self.tally_layout["scores"])
        np.add.at(scores, (finding, truth, roc.to_bins(log_odds, self.bins)), weight)
        losses = self._losses(outputs.double(), targets).clamp(max=LOSS_CEILING) / LOSS_CEILING
        total = (losses * weights.double().unsqueeze(1)).sum(0).numpy()
        return Tally({"confusion": confusion, "scores": scores, "log_loss": total})

    def metrics(self, tally: Tally) -> Metrics:
        """Return means over the findings (of those that have the figure), and each finding's AUC."""
        areas = [roc.curve(scores, tally.variance).auc for scores in tally.arrays["scores"]]
        tests = [of_two(confusion, tally.variance) for confusion in tally.arrays["confusion"]]
        known = np.clip(tally.arrays["confusion"], 0, None)
        right = known[:, 0, 0] + known[:, 1, 1]
        figures = {
            "loss": self._loss(tally.arrays["log_loss"], known.sum((1, 2))),
            "accuracy": _mean(_shares(right, known.sum((1, 2)))),
            **{name: _mean(np.array([test[name] for test in tests])) for name in OF_A_TEST},
            **self._ranking(tally, areas),
            "count": float(known.sum((1, 2)).max(initial=0)),
        }
        return figures | {f"auc_{name}": a for name, a in zip(self.names, areas, strict=True)}

    def _ranking(self, tally: Tally, areas: list[float]) -> Metrics:
        """Return AUC, average precision and calibration over the findings that have an AUC."""
        histograms = list(tally.arrays["scores"])
        seen = [h for h, area in zip(histograms, areas, strict=True) if not math.isnan(area)]
        figures = score_figures(seen or histograms, tally.variance, 2)
        return figures | {"brier": figures["brier"] / len(seen or histograms)}

    def _loss(self, totals: Floats, known: Floats) -> float:
        """Return the mean log loss; NaN where noise pushed the sum below 0, which no loss can be."""
        if totals.sum() < 0:
            return math.nan
        return _mean(_shares(totals * LOSS_CEILING, known))

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the findings' ROC, precision-recall, calibration and decision curves."""
        histograms = dict(zip(self.names, tally.arrays["scores"], strict=True))
        return score_curves(histograms, tally.variance, 2)


def _shares(parts: Floats, wholes: Floats) -> Floats:
    """Divide; NaN where there is nobody."""
    return np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1), math.nan)


def _mean(values: Floats) -> float:
    """Return the mean of what is a number; NaN of nothing."""
    found = values[~np.isnan(values)]
    return float(found.mean()) if len(found) else math.nan
