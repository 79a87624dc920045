"""Time until an event: the chance of it in each interval, for those who were spared so far.

The loss is the likelihood of discrete time (Singer and Willett 1993; Gensheimer and Narasimhan 2019, "A scalable
discrete-time survival model for neural networks"): a sum over a patient's own intervals. The partial likelihood of Cox
compares each patient with all who were at risk at the same moment, so that one patient's gradient would depend on the
others of the batch, and clipping it would bound nobody's influence.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from common.data_spec import ClassedSpec, FollowUp
from common.errors import StudyError
from common.plugins import Options
from common.tasks import roc
from common.tasks.base import Floats, Metrics, Tally
from common.tasks.figures.concordance import concordance
from common.tasks.figures.life_table import LifeTable, brier
from common.tasks.figures.risk_groups import risk_groups

if TYPE_CHECKING:
    from common.study import Study

LOSS_CEILING = 10.0
"""Nats at which one patient's loss is cut in the tally, so that its contribution is bounded."""


class SurvivalOptions(Options):
    """Options of the task; the intervals are those of `[data] follow_up`.

    Attributes:
        usual_hazard: public guess of the chance of the event in an interval. An output of 0 means it, so that an
            untrained network starts there and noisy steps are not spent on the way.
    """

    usual_hazard: float = Field(default=0.1, gt=0, lt=1)


class Survival:
    """One output an interval: the log odds of the event in it for those who lived until then, above the usual ones.

    Patients who leave the study without the event count up to the interval in which they were last seen.
    """

    Options = SurvivalOptions
    classes: tuple[str, ...] | None = None
    headline = "concordance"
    targets = frozenset({"hazard"})
    pools_patients = True

    def __init__(self, options: SurvivalOptions, study: Study) -> None:
        follow_up = _follow_up(study)
        self.edges, self.unit = tuple(follow_up.edges), follow_up.unit
        self.usual = math.log(options.usual_hazard / (1 - options.usual_hazard))
        self.outputs = intervals = len(self.edges)
        self.bins = study.evaluation.score_bins
        self.scale = math.sqrt(intervals)
        self.tally_layout = {
            "events": (intervals, self.bins),
            "lost": (intervals + 1, self.bins),
            "predicted": (intervals,),
            "squares": (intervals, intervals + 1),
            "log_loss": (1,),
        }
        # A count, and three parts that are scaled to at most 1 each; one person reaches all four at once.
        self.tally_bound = 2.0

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the negative log likelihood of every sample, in nats, `[B]`.

        Args:
            outputs: `[B, J]` log odds of the event in each interval, above the usual ones.
            targets: `[B, 2]` intervals lived through, and whether the event ended it.
        """
        lived, came = targets[:, :1], targets[:, 1:]
        log_odds = outputs + self.usual
        interval = torch.arange(outputs.shape[1], device=outputs.device)
        spared = F.softplus(log_odds) * (interval < lived)
        struck = F.softplus(-log_odds) * (interval == lived) * came
        return (spared + struck).sum(dim=1)

    def answers(self, outputs: torch.Tensor) -> dict[str, list[float]]:
        """Return, of outputs `[B, J]`, the chance that the event has come by the end of each interval."""
        risks = -torch.expm1(-self._cumulative_hazard(outputs))
        named = zip(self.edges, risks.T.tolist(), strict=True)
        return {
            f"risk_by_{edge:g}_{self.unit}": [round(r, 6) for r in each] for edge, each in named
        }

    def _cumulative_hazard(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return minus the log of the chance to live beyond each interval, `[B, J]`."""
        return F.softplus(outputs.double() + self.usual).cumsum(1)

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Count patients by interval and score; sum predicted risks, squared errors and clipped losses."""
        weight = weights.double().numpy()
        together = self._cumulative_hazard(outputs)
        risk = -torch.expm1(-together).numpy()
        lived, came = targets[:, 0].long().numpy(), targets[:, 1].numpy() > 0
        whole = together[:, -1]
        score = (whole + torch.log(-torch.expm1(-whole))).numpy()  # log odds of the event at all
        counts = np.zeros((2, self.outputs + 1, self.bins))
        np.add.at(counts, (came.astype(int), lived, roc.to_bins(score, self.bins)), weight)
        losses = self.loss(outputs, targets).double().clamp(max=LOSS_CEILING).numpy()
        return Tally(
            {
                "events": counts[1, :-1],
                "lost": counts[0],
                "predicted": weight @ risk / self.scale,
                "squares": self._squares(risk, lived, came, weight) / self.scale,
                "log_loss": np.array([weight @ losses / LOSS_CEILING]),
            }
        )

    def _squares(self, risk: Floats, lived: Any, came: Any, weight: Floats) -> Floats:
        """Sum squared errors at each edge, as `life_table.brier` wants them."""
        edge = np.arange(self.outputs)
        past = weight @ (risk**2 * (lived[:, None] > edge))
        by_interval = np.zeros((self.outputs, self.outputs))
        struck = np.flatnonzero(came)
        missed = (1 - risk[struck]) ** 2 * (edge >= lived[struck, None]) * weight[struck, None]
        np.add.at(by_interval.T, lived[struck], missed)
        return np.concatenate([by_interval, past[:, None]], axis=1)

    def metrics(self, tally: Tally) -> Metrics:
        """Return concordance, integrated Brier score beside that of one curve for all, and expected to observed."""
        table = self._table(tally)
        found = concordance(tally.arrays["events"], tally.arrays["lost"], tally.variance)
        low, high = found.interval()
        score = self._integrated(brier(table, tally.arrays["squares"] * self.scale))
        base = (
            self._integrated(table.survival * (1 - table.survival)) if table.count > 0 else math.nan
        )
        loss = float(tally.arrays["log_loss"][0]) * LOSS_CEILING
        observed = 1 - float(table.survival[-1])
        return {
            "loss": loss / table.count if table.count > 0 and loss >= 0 else math.nan,
            "concordance": found.index,
            "concordance_low": low,
            "concordance_high": high,
            "brier": score,
            "baseline_brier": base,
            "skill": 1 - score / base if base > 0 else math.nan,
            "expected_to_observed": float(self._predicted(tally, table)[-1]) / observed
            if observed > 0
            else math.nan,
            "events": float(max(0.0, table.events.sum())),
            "count": max(0.0, table.count),
        }

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return survival, predicted and observed, by the end of each interval, and the calibration of risk groups."""
        table = self._table(tally)
        groups = risk_groups(tally.arrays["events"], tally.arrays["lost"], tally.variance)
        return {
            "survival": {
                "times": list(self.edges),
                "unit": self.unit,
                "predicted": (1 - self._predicted(tally, table)).tolist(),
                "observed": table.survival.tolist(),
                "brier": brier(table, tally.arrays["squares"] * self.scale).tolist(),
                "baseline_brier": (table.survival * (1 - table.survival)).tolist(),
            },
            "calibration": {f"event within {self.edges[-1]:g} {self.unit}": groups},
        }

    def _table(self, tally: Tally) -> LifeTable:
        return LifeTable(tally.arrays["events"].sum(1), tally.arrays["lost"].sum(1))

    def _predicted(self, tally: Tally, table: LifeTable) -> Floats:
        """Return the mean predicted risk by each edge; NaN where there is nobody."""
        total = tally.arrays["predicted"] * self.scale
        if table.count <= 0:
            return np.full(self.outputs, np.nan)
        return np.asarray(np.clip(total / table.count, 0, 1))

    def _integrated(self, scores: Floats) -> float:
        """Return the mean over time: every interval weighs as much as it is long."""
        return float(np.average(scores, weights=np.diff(self.edges, prepend=0.0)))


def _follow_up(study: Study) -> FollowUp:
    data = study.data
    if not isinstance(data, ClassedSpec) or data.follow_up is None:
        raise StudyError(
            "Task 'survival' needs a table or records with a follow-up.", where="[data] follow_up"
        )
    return data.follow_up
