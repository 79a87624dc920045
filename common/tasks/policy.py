"""A treatment policy from logged decisions: offline reinforcement learning with a few discrete actions.

Neural fitted Q iteration (Riedmiller 2005, after Ernst, Geurts and Wehenkel 2005) and, with `conservatism` above 0,
conservative Q-learning (Kumar et al. 2020, "Conservative Q-learning for offline reinforcement learning"): both are
sums over a patient's own decisions. Beside the values that it learns from, the network has values that it is judged by:
fitted Q evaluation (Le, Voloshin and Yue 2019, "Batch policy learning under constraints").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from common.data_spec import EpisodeSpec
from common.errors import StudyError
from common.tasks.base import Floats, Metrics, Tally
from common.tasks.figures.episodes import choices, ratios, returns
from common.tasks.figures.off_policy import Estimate, plain_mean, weighted_mean
from common.tasks.policy_options import PolicyOptions, ends_of_worth

if TYPE_CHECKING:
    from common.study import Study

LOSS_CEILING = 10.0
"""At which an episode's loss is cut in the tally, so that its contribution is bounded."""


class Policy:
    """Values of each action in each state, and the policy that prefers actions of higher value.

    Outputs are values of the A actions, then their values under the policy (by which it is judged), for every state:
    `[B, 2A, D + 1]`, scaled so that -1 and 1 are the public ends of what an episode can be worth.
    """

    Options = PolicyOptions
    classes: tuple[str, ...] | None = None
    headline = "value"
    targets = frozenset({"decisions"})
    pools_patients = False

    def __init__(self, options: PolicyOptions, study: Study) -> None:
        data = _episodes(study)
        self.options, self.actions = options, tuple(data.actions)
        self.outputs = 2 * len(self.actions)
        low, high = ends_of_worth(options, data)
        self.middle, self.half = (high + low) / 2, (high - low) / 2
        self.logged = data.probability is not None
        weighted = {"weighted": (2,), "squares": (3,)} if self.logged else {}
        self.tally_layout = {
            "outcomes": (3,),
            **weighted,
            "expected": (2,),
            "choices": (len(self.actions), len(self.actions)),
            "loss": (1,),
        }
        # Every sum has 1 at most of an episode; the choices are shares of one episode, and sum to 1.
        self.tally_bound = math.sqrt(3 + 5 * self.logged + 2 + 1 + 1)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every episode, `[B]`: the sum over its decisions, over the public most of them.

        Squared errors, because a value is a mean. What lies ahead is taken from the network as it is, and no gradient
        flows through it.
        """
        outputs = outputs.float()
        values, judged = outputs.chunk(2, dim=1)
        taken = targets[..., 0].clamp(min=0).long().unsqueeze(1)
        ahead = values.detach()[..., 1:]
        best = ahead.max(1).values
        under = (self.chances(ahead) * judged.detach()[..., 1:]).sum(1)
        own = values[..., :-1].gather(1, taken).squeeze(1)
        each = (own - self._goal(best, targets)) ** 2
        own_judged = judged[..., :-1].gather(1, taken).squeeze(1)
        each = each + (own_judged - self._goal(under, targets)) ** 2
        if self.options.conservatism:
            each = each + self.options.conservatism * (values[..., :-1].logsumexp(1) - own)
        return (each * (targets[..., 0] >= 0)).mean(1)

    def _goal(self, ahead: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the scaled worth of a decision: its reward and, unless it is the last, what lies ahead."""
        later = self.middle + self.half * ahead.clamp(-1, 1)
        worth = targets[..., 1] + self.options.discount * (1 - targets[..., 2]) * later
        return (worth - self.middle) / self.half

    def chances(self, values: torch.Tensor) -> torch.Tensor:
        """Return the policy's probability of each action, `[B, A, …]`, for scaled values."""
        return (values * (self.half / self.options.temperature)).softmax(1)

    def tally(
        self,
        outputs: torch.Tensor,
        targets: torch.Tensor,
        inputs: torch.Tensor,
        weights: torch.Tensor,
    ) -> Tally:
        """Sum what episodes were worth, plainly and by importance, and what the network says of their first states."""
        outputs, targets, weight = outputs.double(), targets.double(), weights.double()
        values, judged = outputs.chunk(2, dim=1)
        chances = self.chances(values)
        worth = ((returns(targets, self.options.discount) - self.middle) / self.half).clamp(-1, 1)
        losses = self.loss(outputs, targets).double().clamp(max=LOSS_CEILING) / LOSS_CEILING
        start = chances[..., 0]
        expected = [(start * found[..., 0].clamp(-1, 1)).sum(1) for found in (judged, values)]
        shares = choices(chances[..., :-1], targets)
        sums = {"outcomes": [torch.ones_like(worth), worth, worth**2]}
        if self.logged:
            ratio = ratios(chances[..., :-1], targets, self.options.weight_limit)
            sums["weighted"] = [ratio, ratio * worth]
            sums["squares"] = [ratio**2, ratio**2 * worth, (ratio * worth) ** 2]
        sums |= {"expected": expected, "loss": [losses]}
        arrays = {name: (torch.stack(found) @ weight).numpy() for name, found in sums.items()}
        arrays["choices"] = torch.einsum("b,bij->ij", weight, shares).numpy()
        return Tally({name: arrays[name] for name in self.tally_layout})

    def answers(self, outputs: torch.Tensor) -> dict[str, list[Any]]:
        """Return for the first state of each sample the action of the highest value, and every action's value."""
        values = outputs.double().chunk(2, dim=1)[0][..., 0]
        preferred = [self.actions[number] for number in values.argmax(1).tolist()]
        worth = (self.middle + self.half * values.clamp(-1, 1)).T.tolist()
        columns = {
            f"value_{name}": [round(value, 4) for value in column]
            for name, column in zip(self.actions, worth, strict=True)
        }
        return {"preferred": preferred} | columns

    def scores(self) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
        """Return for each action by how much its value in the first state exceeds the best other one's, in reward."""
        places = range(len(self.actions))
        return dict(zip(self.actions, map(self._lead, places), strict=True))

    def _lead(self, action: int) -> Callable[[torch.Tensor], torch.Tensor]:
        others = [other for other in range(len(self.actions)) if other != action]

        def lead(outputs: torch.Tensor) -> torch.Tensor:
            values = outputs[:, : len(self.actions), 0] * self.half
            return values[:, action] - values[:, others].max(1).values

        return lead

    def metrics(self, tally: Tally) -> Metrics:
        """Return what the policy is worth by each estimate beside what was done, in units of reward.

        `value` is by importance where probabilities were logged, else by fitted Q evaluation; `baseline_value` is
        what the episodes were worth as they went; `promised_value` is what the learned values themselves say.
        """
        arrays = tally.arrays
        done = plain_mean(arrays["outcomes"], tally.variance)
        fitted, promised = (self._in_units(v / done.count) for v in arrays["expected"].tolist())
        figures = {"value": fitted}
        if self.logged:
            found = weighted_mean(arrays["weighted"], arrays["squares"], tally.variance)
            figures = self._with_interval("value", found) | {"effective_count": found.count}
        figures |= self._with_interval("baseline_value", done)
        figures |= {"fqe_value": fitted, "promised_value": promised}
        figures["gain"] = figures["value"] - figures["baseline_value"]
        shares = _shares(arrays["choices"])
        figures["agreement"] = float(np.trace(shares))
        loss = float(arrays["loss"][0]) * LOSS_CEILING / done.count
        figures["loss"] = loss if loss >= 0 else math.nan
        return figures | {"count": max(0.0, float(arrays["outcomes"][0]))}

    def _in_units(self, scaled: float) -> float:
        return self.middle + self.half * scaled

    def _with_interval(self, name: str, found: Estimate) -> Metrics:
        low, high = found.interval()
        named = {name: found.mean, f"{name}_low": low, f"{name}_high": high}
        return {key: self._in_units(value) for key, value in named.items()}

    def curves(self, tally: Tally) -> dict[str, Any]:
        """Return the table of what was done against what the policy would do, in shares of all decisions."""
        shares = _shares(tally.arrays["choices"])
        rows = [
            {"name": name, "values": values}
            for name, values in zip(self.actions, shares.tolist(), strict=True)
        ]
        title = "Decisions as they were taken (rows) and as the policy would take them"
        return {
            "tables": [
                {"title": title, "first": "taken", "columns": list(self.actions), "rows": rows}
            ]
        }


def _shares(counts: Floats) -> Floats:
    """Return counts as shares of their sum; what noise pushed below zero is none, and NaN if nothing is left."""
    seen = np.clip(counts, 0, None)
    return np.asarray(seen / seen.sum() if seen.sum() > 0 else np.full_like(seen, np.nan))


def _episodes(study: Study) -> EpisodeSpec:
    if not isinstance(study.data, EpisodeSpec):
        raise StudyError("Task 'policy' needs episodes of decisions.", where="[data] kind")
    return study.data
