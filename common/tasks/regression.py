"""Regression: one number a sample, in a public range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from common.data_spec import ClassedSpec, ValueRange
from common.errors import StudyError
from common.plugins import Options
from common.tasks.base import Metrics, Tally
from common.tasks.figures.errors import Loss, losses, shares

if TYPE_CHECKING:
    from common.study import Study

SUMS = ("absolute", "squared", "truth", "truth_squared", "count")


class RegressionOptions(Options):
    """Options of the task.

    Attributes:
        loss: `huber` (quadratic up to a tenth of the value range, linear beyond) or `mse`.
    """

    loss: Loss = "huber"


class Regression:
    """Error sums of the model, and the sums from which the spread of the truth follows.

    Values travel through the network scaled to [-1, 1] by the study's public range (`[data] value`); predictions are
    cut to it, and figures are in the study's own unit.
    """

    Options = RegressionOptions
    classes: tuple[str, ...] | None = None
    outputs = 1
    headline = "rmse"
    targets = frozenset({"value"})
    pools_patients = False

    def __init__(self, options: RegressionOptions, study: Study) -> None:
        self.kind: Loss = options.loss
        self.range = _range(study)
        self.unit = self.range.unit or ""
        self.name = _column_name(study)
        self.tally_layout = dict.fromkeys(SUMS, (1,))
        # A sample has each sum at 1 at most; all are where the truth is at one end and the prediction at the other.
        self.tally_bound = math.sqrt(len(SUMS))

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every sample, `[B]`."""
        return losses(self.kind, outputs, targets).squeeze(1)

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Sum errors as shares of the range, and the scaled truth in [-1, 1] with its square."""
        weight = weights.double().unsqueeze(1)
        truth = targets.double().clamp(-1, 1)
        error = (outputs.double().clamp(-1, 1) - truth).abs() / 2
        sums = {
            "absolute": error,
            "squared": error**2,
            "truth": truth,
            "truth_squared": truth**2,
            "count": torch.ones_like(error),
        }
        return Tally({name: (value * weight).sum(0).numpy() for name, value in sums.items()})

    def metrics(self, tally: Tally) -> Metrics:
        """Return RMSE and MAE, those of the mean of all (`baseline_rmse`), and R², the share of the variance told.

        The mean is that of the very samples that are predicted: no constant forecast has a smaller RMSE.
        """
        whole = 2 * self.range.half_range
        count = tally.arrays["count"]
        squared = float(shares(tally.arrays["squared"], count)[0]) * whole**2
        variance = self._variance(tally)
        return {
            "rmse": math.sqrt(squared) if squared >= 0 else math.nan,
            "mae": float(shares(tally.arrays["absolute"], count)[0]) * whole,
            "baseline_rmse": math.sqrt(variance) if variance >= 0 else math.nan,
            "r2": 1 - squared / variance if variance > 0 else math.nan,
            "count": max(0.0, float(count[0])),
        }

    def _variance(self, tally: Tally) -> float:
        """Return the variance of the truth in the square of its unit; NaN where noise hides it."""
        count = float(tally.arrays["count"][0])
        square = float(shares(tally.arrays["truth_squared"], tally.arrays["count"])[0])
        if math.isnan(square):
            return math.nan
        found = square - (float(tally.arrays["truth"][0]) / count) ** 2
        # Rounding leaves next to nothing of equal values; below that only noise comes.
        return max(found, 0.0) * self.range.half_range**2 if found > -1e-9 else math.nan

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the errors as a table."""
        figures = self.metrics(tally)
        unit = f" ({self.unit})" if self.unit else ""
        rows = [
            {"name": "model", "values": [figures["rmse"], figures["mae"]]},
            {"name": "the mean of all", "values": [figures["baseline_rmse"], math.nan]},
        ]
        columns = [f"RMSE{unit}", f"MAE{unit}"]
        title = f"Errors of {self.name}"
        return {"tables": [{"title": title, "first": "forecast", "columns": columns, "rows": rows}]}

    def answers(self, outputs: torch.Tensor) -> dict[str, list[Any]]:
        """Return predictions in the study's unit, inside its public range, for people."""
        values = self.range.middle + self.range.half_range * outputs.double().clamp(-1, 1)
        return {self.name: [round(value, 6) for value in values[:, 0].tolist()]}


def _range(study: Study) -> ValueRange:
    data = study.data
    if not isinstance(data, ClassedSpec) or data.value is None:
        raise StudyError(
            "Task 'regression' needs a target that is a number.",
            where="[data] value",
            fix="Give its public range: value = { minimum = …, maximum = … }.",
        )
    return data.value


def _column_name(study: Study) -> str:
    return study.data.target if isinstance(study.data, ClassedSpec) else "value"
