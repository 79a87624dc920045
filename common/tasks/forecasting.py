"""Forecasting of a series at one or several horizons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field

from common.errors import StudyError
from common.later import LATER
from common.plugins import Options
from common.tasks.base import Floats, Metrics, Tally
from common.tasks.error_grids import ZONES, Grid, mg_per_dl, zone_counts
from common.tasks.figures.errors import Loss, losses, shares

if TYPE_CHECKING:
    from common.study import Study

SUMS = ("absolute", "squared", "last_absolute", "last_squared", "count")


class ForecastingOptions(Options):
    """Options of the task.

    Attributes:
        loss: `huber` (quadratic up to a tenth of the value range, linear beyond) or `mse`.
        error_grids: of glucose, `clarke`, `parkes` or both: how many forecasts lie in each zone.
    """

    loss: Loss = "huber"
    error_grids: tuple[Grid, ...] = Field(default=(), json_schema_extra=LATER)


class Forecasting:
    """Error sums by horizon, for the model and for the persistence forecast (the window's last value).

    Values travel through the network scaled to [-1, 1] by the study's public minimum and maximum; metrics are in the
    study's own unit (mg/dL for glucose).
    """

    Options = ForecastingOptions
    classes: tuple[str, ...] | None = None
    headline = "rmse"
    targets = frozenset({"values"})
    pools_patients = False

    def __init__(self, options: ForecastingOptions, study: Study) -> None:
        data = study.data
        if data.kind != "series":
            raise StudyError(
                f"Task 'forecasting' needs a series, but the study's data are of kind '{data.kind}'.",
                where="[data] kind",
            )
        self.kind: Loss = options.loss
        self.minutes = tuple(data.horizons_minutes)
        self.unit = data.unit
        self.outputs = len(self.minutes)
        self.half_range = (data.maximum - data.minimum) / 2
        self.middle = (data.maximum + data.minimum) / 2
        self.grids = tuple(dict.fromkeys(options.error_grids))
        self.mg_per_dl = mg_per_dl(data.unit) if self.grids else 1.0
        zones = (self.outputs, len(ZONES))
        self.tally_layout = dict.fromkeys(SUMS, (self.outputs,)) | dict.fromkeys(self.grids, zones)
        # A window has every sum at 1 at most, and lies in one zone of a grid, at each horizon.
        self.tally_bound = math.sqrt((len(SUMS) + len(self.grids)) * self.outputs)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every window, averaged over its horizons, `[B]`."""
        return losses(self.kind, outputs, targets).mean(dim=1)

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Sum errors as shares of the value range, each cut at 1 so that a window's contribution is bounded."""
        weight = weights.double().unsqueeze(1)
        model = ((outputs - targets).double().abs() / 2).clamp(max=1)
        last = ((inputs[:, -1, :1] - targets).double().abs() / 2).clamp(max=1)
        sums = {
            "absolute": model,
            "squared": model**2,
            "last_absolute": last,
            "last_squared": last**2,
            "count": torch.ones_like(model),
        }
        arrays = {name: (value * weight).sum(0).numpy() for name, value in sums.items()}
        return Tally(arrays | self._zones(outputs, targets, weights))

    def _zones(
        self, outputs: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
    ) -> dict[str, Floats]:
        """Count the forecasts in the zones of each grid, `[H, 5]`."""
        weight = weights.double().numpy()
        forecast, truth = self._milligrams(outputs), self._milligrams(targets)
        return {
            grid: np.stack(
                [zone_counts(grid, *pair, weight) for pair in zip(truth, forecast, strict=True)]
            )
            for grid in self.grids
        }

    def _milligrams(self, values: torch.Tensor) -> Floats:
        """Return scaled values in mg/dL by horizon, `[H, B]`, none beyond what the study lets pass."""
        inside = values.double().clamp(-1, 1).T.numpy()
        return np.asarray((self.middle + self.half_range * inside) * self.mg_per_dl)

    def metrics(self, tally: Tally) -> Metrics:
        """Return RMSE and MAE over all horizons, the persistence forecast's, and the share of RMSE that is saved.

        Of each error grid: the share of forecasts in zone A, and in A or B.
        """
        rmse, last = self._rmse(tally, "squared"), self._rmse(tally, "last_squared")
        figures = {
            "rmse": _mean(rmse),
            "mae": _mean(self._mean_error(tally, "absolute")),
            "baseline_rmse": _mean(last),
            "baseline_mae": _mean(self._mean_error(tally, "last_absolute")),
            "skill": 1 - _mean(rmse) / _mean(last) if _mean(last) > 0 else math.nan,
            "count": float(np.clip(tally.arrays["count"], 0, None).mean()),
        }
        pairs = zip(self.minutes, rmse, strict=True)
        figures |= {f"rmse_{minutes:g}_minutes": float(value) for minutes, value in pairs}
        for grid in self.grids:
            shares = _zone_shares(tally.arrays[grid]).mean(0)
            figures |= {f"{grid}_a": float(shares[0]), f"{grid}_ab": float(shares[:2].sum())}
        return figures

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the errors by horizon, and the shares of each error grid's zones."""
        grids = {grid: _zone_shares(tally.arrays[grid]).tolist() for grid in self.grids}
        return {
            "horizons": {
                "minutes": list(self.minutes),
                "unit": self.unit,
                "rmse": self._rmse(tally, "squared").tolist(),
                "mae": self._mean_error(tally, "absolute").tolist(),
                "baseline_rmse": self._rmse(tally, "last_squared").tolist(),
            }
            | ({"error_grids": grids} if grids else {})
        }

    def _mean_error(self, tally: Tally, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return shares(tally.arrays[name], tally.arrays["count"]) * 2 * self.half_range

    def _rmse(self, tally: Tally, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        squares = shares(tally.arrays[name], tally.arrays["count"])
        return np.asarray(np.sqrt(squares) * 2 * self.half_range)


def _zone_shares(counts: Floats) -> Floats:
    """Return each horizon's counts as shares; what noise pushed below zero is none, and NaN if nothing is left."""
    seen = np.clip(counts, 0, None)
    total = seen.sum(1, keepdims=True)
    shares: Floats = np.divide(seen, total, out=np.full_like(seen, np.nan), where=total > 0)
    return shares


def _mean(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(np.mean(values))
