"""What it costs to train several times on the same patients and to keep the best run.

Choosing looks at all runs, so all of them are paid for. When the number of runs is itself drawn at random, and only the
best run is released and nothing of the others, the price is far below composition: Liu and Talwar 2019 (arXiv
1811.07971), Papernot and Steinke 2022 (arXiv 2110.03620), by Rényi DP as in dp-accounting.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from common.errors import StudyError
from common.privacy.accountants import epsilon_pld, segments, unprotected
from common.privacy.events import Event
from common.privacy.renyi import quiet

Runs = Literal["geometric", "logarithmic", "poisson", "fixed"]
_SHAPES = {"geometric": 1.0, "logarithmic": 0.0, "poisson": math.inf}
MOST_RUNS = 100_000


@dataclass(frozen=True)
class Tuning:
    """The price of choosing.

    Attributes:
        single: ε of one run by the same accountant.
        epsilon: ε of the released best run.
        theorem: what proves it.
    """

    single: float
    epsilon: float
    theorem: str


def tuning_epsilon(
    events: Sequence[Event], delta: float, runs: int, distribution: Runs = "geometric"
) -> Tuning:
    """ε of the best of several runs, each of which consists of `events`.

    Args:
        events: the mechanisms of one run.
        delta: δ in (0, 1).
        runs: the expected number of runs, or the exact one for "fixed".
        distribution: of the number of runs. "geometric": after every run, stop with probability 1/runs. "fixed": a
            number set in advance, every run of which may be released: composition, by PLD.

    Raises:
        StudyError: runs or delta is out of range.
    """
    if not 1 <= runs <= MOST_RUNS:
        raise StudyError(f"Expected runs to be 1 … {MOST_RUNS:,}, not {runs!r}.", where="runs")
    if unprotected(events):
        return Tuning(math.inf, math.inf, "nothing protects what leaves without noise")
    single = epsilon_pld(events, delta)
    if distribution == "fixed":
        every = [event.with_steps(event.steps * runs) for event in events]
        return Tuning(single, epsilon_pld(every, delta), f"composition of all {runs} runs, by PLD")
    once, best = (_renyi(events, delta, mean, distribution) for mean in (1, runs))
    theorem = f"best of a {distribution} number of runs, {runs} expected (Papernot and Steinke 2022, by RDP)"
    return Tuning(once, best, theorem)


def _renyi(events: Sequence[Event], delta: float, runs: int, distribution: Runs) -> float:
    from dp_accounting import (
        ComposedDpEvent,
        GaussianDpEvent,
        PoissonSampledDpEvent,
        SelfComposedDpEvent,
    )
    from dp_accounting.dp_event import RepeatAndSelectDpEvent
    from dp_accounting.rdp import RdpAccountant

    run = ComposedDpEvent(
        [
            SelfComposedDpEvent(PoissonSampledDpEvent(q, GaussianDpEvent(sigma)), count)
            for q, sigma, count in segments(events)
        ]
    )
    if not run.events:
        return 0.0
    accountant = RdpAccountant()
    chosen = run if runs == 1 else RepeatAndSelectDpEvent(run, runs, _SHAPES[distribution])
    with quiet():
        return float(accountant.compose(chosen).get_epsilon(delta))
