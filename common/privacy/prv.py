"""Opacus' accountant by privacy random variables (Gopi et al. 2021, arXiv 2106.02848), bounded.

Importing Opacus takes two seconds, so it waits until a figure is asked for. Its grid grows with ε:
at ε ≈ 345 it took 47 s and 7.8 GB, so its size is computed first and the figure refused when it is
too large.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from common.privacy.events import Segment

EPSILON_ERROR = 0.01  # Opacus' own default; included in the bound
_POINTS = 4_000_000  # about 2 s and 700 MB
_LARGEST_LOSS = 700.0  # exp() of more overflows


@lru_cache(maxsize=1024)
def upper_bound(segments: tuple[Segment, ...], delta: float) -> tuple[float | None, str]:
    """Upper bound on ε at `delta` for (q, σ, steps) segments; None with the reason if unfit."""
    if not segments:
        return 0.0, ""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # orders of the Rényi bound, log(0) at q = 1
        try:
            return _compute(segments, delta)
        except (RuntimeError, ValueError, ArithmeticError, MemoryError, IndexError) as error:
            return None, f"Opacus' PRV accountant gave up: {error}"


def _compute(segments: Sequence[Segment], delta: float) -> tuple[float | None, str]:
    from opacus.accountants.analysis import prv as opacus

    delta_error = delta / 1000
    variables = [opacus.PoissonSubsampledGaussianPRV(q, sigma) for q, sigma, _ in segments]
    steps = [count for *_, count in segments]
    reach = opacus.compute_safe_domain_size(variables, steps, EPSILON_ERROR, delta_error)
    mesh = EPSILON_ERROR / np.sqrt(sum(steps) * np.log(12 / delta_error) / 2)
    points = 2 * reach / mesh
    if not reach < _LARGEST_LOSS or points > _POINTS:
        need = f"losses up to {reach:,.0f} on {points:,.0f} grid points"
        return None, f"Opacus' PRV accountant would need {need}"
    domain = opacus.Domain.create_aligned(-reach, reach, mesh)
    composed = opacus.compose_heterogeneous([_on(domain, v, opacus) for v in variables], steps)
    _, _, upper = composed.compute_epsilon(delta, delta_error, EPSILON_ERROR)
    return max(0.0, float(upper)), ""


def _on(domain: Any, variable: Any, opacus: Any) -> Any:
    bounded = opacus.TruncatedPrivacyRandomVariable(variable, domain.t_min, domain.t_max)
    return opacus.discretize(bounded, domain)
