"""What a task is, and the tally: statistics that add across batches, patients and sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from common.errors import PolicyError
from common.plugins import Options

Floats = npt.NDArray[np.float64]
TallyLayout = Mapping[str, tuple[int, ...]]
Metrics = dict[str, float]

LOWER_IS_BETTER = frozenset(
    {"loss", "rmse", "mae", "hausdorff95_mm", "hausdorff95_px", "brier", "ece"}
)
"""Figures of errors; of all others more is better."""

SITE_FIGURES = frozenset({"auc", "accuracy", "concordance", "dice", "rmse", "mae", "baseline_rmse"})
"""What a run's table of sites shows, beside the task's headline."""


def site_figures(metrics: Metrics, headline: str) -> Metrics:
    """Return the figures that a run keeps of each site."""
    return {k: v for k, v in metrics.items() if k in SITE_FIGURES or k == headline}


@dataclass(frozen=True)
class Tally:
    """Named arrays of counts and sums; the tally of a union is the sum of the tallies.

    Metrics are computed from the sum over sites, so that a pooled AUC is the AUC of all patients together and not
    a mean of AUCs.

    Attributes:
        arrays: counts and sums by name.
        variance: of the Gaussian noise that sites put on every value; 0 where they are exact.
    """

    arrays: Mapping[str, Floats]
    variance: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        total = {name: value + other.arrays[name] for name, value in self.arrays.items()}
        return Tally(total, self.variance + other.variance)

    def flat(self) -> Floats:
        """Return all values in one vector, in the layout's order."""
        return np.concatenate([value.reshape(-1) for value in self.arrays.values()])

    @classmethod
    def from_flat(cls, values: Floats, layout: TallyLayout, variance: float = 0.0) -> Tally:
        """Rebuild a tally from its vector, whose values carry noise of that variance.

        Raises:
            PolicyError: the vector's length is not the layout's.
        """
        sizes = [int(np.prod(shape)) for shape in layout.values()]
        if values.ndim != 1 or values.size != sum(sizes):
            raise PolicyError(
                f"A tally of {values.size} values arrived where the task has {sum(sizes)}."
            )
        parts = np.split(values, np.cumsum(sizes)[:-1])
        shaped = zip(layout.items(), parts, strict=True)
        return cls({name: part.reshape(shape) for (name, shape), part in shaped}, variance)

    @classmethod
    def zeros(cls, layout: TallyLayout) -> Tally:
        """Return the tally of nobody."""
        return cls({name: np.zeros(shape) for name, shape in layout.items()})


class Task(Protocol):
    """A learning problem.

    Attributes:
        outputs: width of the network's output.
        classes: names of the classes, or None where there are none.
        tally_layout: names and shapes of the tally's arrays.
        tally_bound: the largest L2 norm that one unit of weight 1 adds to the tally.
        headline: the metric that curves and tables show first.
        targets: the kinds of targets (`common.data_spec.base.TARGETS`) that it learns from.
        pools_patients: whether a patient's outputs are averaged where all the patient's targets are the same.
    """

    Options: type[Options]
    outputs: int
    classes: tuple[str, ...] | None
    tally_layout: TallyLayout
    tally_bound: float
    headline: str
    targets: frozenset[str]
    pools_patients: bool

    def __init__(self, options: Any, study: Any) -> None: ...

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every sample, `[B]`: never a mean over the batch, so that clipping is well defined."""
        ...

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Return the statistics of a batch; every sample counts `weights[i]` times."""
        ...

    def metrics(self, tally: Tally) -> Metrics:
        """Return the final figures by name; `count` is how many units they are over, and NaN what noise hides.

        Where a figure has `NAME_low` and `NAME_high` beside it, they are its 95 % interval.
        """
        ...

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return what the report draws (JSON values).

        Any task may give `tables`, `[{title, first, columns, rows: [{name, values}]}]`, and `plots`,
        `[{title, x_label, y_label, lines: [{name, x, y}]}]`; `roc`, `precision_recall`, `calibration`, `decision`
        (`common.tasks.figures.ranking.score_curves`), `confusion`, `horizons`, `survival` and `structures` are drawn
        in ways of their own.
        """
        ...
