"""What would fit a site's budget in place of a study that does not, one change at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from client.audit.plan import StudyCost, cases
from client.guard.budget import Budget
from common.errors import StudyError
from common.privacy.accountants import RECORD_INTERVAL, epsilon_pld
from common.privacy.calibration import noise_multiplier_for
from common.privacy.events import Event
from common.privacy.headroom import MOST_STEPS, largest, sampling_rate_for, steps_for

T = TypeVar("T")
_MOST_ROUNDS = 100_000


@dataclass(frozen=True)
class Fits:
    """What the budget would allow instead, each with everything else as planned; None where nothing does.

    Attributes:
        rounds: most rounds, training and statistics.
        noise_multiplier: smallest σ of the training.
        steps_per_round: most steps.
        sampling_rate: highest q.
    """

    rounds: int
    noise_multiplier: float | None
    steps_per_round: int | None
    sampling_rate: Fraction | None


def what_fits(cost: StudyCost) -> Fits | None:
    """What the budget would allow instead; None without a budget."""
    budget, plan = cost.budget, cost.plan
    if budget is None or math.isinf(budget.max_epsilon):
        return None
    limit, delta = budget.max_epsilon, budget.delta
    event, beside = cost.events("train"), _beside(cost)
    noise = _or_none(
        lambda: noise_multiplier_for(limit, delta, plan.sampling_rate, plan.steps, beside=beside)
    )
    rate = _or_none(
        lambda: sampling_rate_for(limit, delta, event.noise_multiplier, plan.steps, beside=beside)
    )
    most = min(MOST_STEPS, plan.rounds * 1_000_000)
    steps = _or_none(
        lambda: steps_for(
            limit, delta, plan.sampling_rate, event.noise_multiplier, beside=beside, most=most
        )
    )
    per_round = None if steps is None else steps // plan.rounds
    return Fits(_rounds(cost, budget), noise, per_round or None, rate)


def _rounds(cost: StudyCost, budget: Budget) -> int:
    def fits(rounds: int, interval: float) -> bool:
        return not budget.exceeded_by(cost.spent(rounds, interval=interval))

    if not fits(0, RECORD_INTERVAL):
        return 0
    return largest(fits, 0, min(_MOST_ROUNDS, MOST_STEPS // cost.plan.steps_per_round))


def _beside(cost: StudyCost) -> Sequence[Event]:
    """What composes with the planned training of the patient for whom that is worst."""
    training = cost.events("train")
    met = [list(case) for case in cases(cost.charges(), "train") if training in case]
    worst = max(met, key=lambda case: epsilon_pld(case, cost.delta))
    worst.remove(training)
    return worst


def _or_none(search: Callable[[], T]) -> T | None:
    """The result of a search, or None where nothing fits."""
    try:
        return search()
    except StudyError:
        return None
