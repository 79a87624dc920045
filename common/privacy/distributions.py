"""Privacy loss distributions of one step, and their composition on grids that fit into memory.

Losses are rounded by the pessimistic "connect the dots" rule of Google's dp-accounting (Doroshenko et al. 2022,
arXiv 2207.04380): a coarser grid can only raise ε. Every pair of distributions below is stated with σ in units of the
clip norm C.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from common.privacy.renyi import FEW_ORDERS, renyi_epsilon

# dp-accounting brings scipy's optimisers along, a second that runs without privacy need not wait:
# it is imported where it is used.
if TYPE_CHECKING:
    from dp_accounting.pld.pld_pmf import PLDPmf
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

Kind = Literal["poisson", "replace-one", "fixed-size", "truncated"]
Parts = tuple[tuple["Step", int], ...]
"""Different steps, and how many of each."""

_STEP_POINTS = 65_536  # one step: building its distribution costs about 4 µs a point
_TOTAL_POINTS = 4_000_000  # the composed grid: at most about 250 MB
_COARSEST = 1.0
_NEGLIGIBLE = 1e-15  # probability mass that dp-accounting truncates, too
_MOST_STEPS = 10_000_000  # a Fourier transform to a higher power loses digits that a small δ needs


@dataclass(frozen=True, order=True)
class Step:
    """One release of a sum clipped per unit, under one way of sampling and one adjacency.

    Attributes:
        kind: "poisson": units enter by independent coins, one is added or removed; "replace-one": the same, one is
            replaced by another; "fixed-size": a uniform subset of public size, one is replaced; "truncated": Poisson
            batches cut to a largest size, one is added or removed.
        rate: q in (0, 1].
        noise: σ.
        population, most: "truncated" only: how many units there are, and the largest batch.
    """

    kind: Kind
    rate: float
    noise: float
    population: int = 0
    most: int = 0

    @property
    def reach(self) -> float:
        """σ over the distance between the two worst sums: σ/2 where a unit of norm C may turn into its opposite."""
        return self.noise if self.kind == "poisson" else self.noise / 2


def total(parts: Parts, interval: float) -> tuple[PrivacyLossDistribution | None, bool]:
    """Compose everything on a grid of `interval`, or on the nearest one that suits and fits.

    Returns:
        The distribution, None where the losses are so large that not even a grid of 1 would hold them, or the steps too
        many to be composed exactly; and whether a Rényi bound may be lower than what the grid can show.
    """
    grid = _affordable(parts, interval)
    if grid > _COARSEST or sum(count for _, count in parts) > _MOST_STEPS:
        return None, grid <= _COARSEST
    return _compose(parts, grid), any(_too_coarse(step, grid) for step, _ in parts)


def worst_of(
    choices: Sequence[Parts], times: int, interval: float
) -> PrivacyLossDistribution | None:
    """As strong as any `times` of the choices together: the worst of them at every ε, composed with itself.

    None where losses outgrow every grid.
    """
    from dp_accounting.pld import privacy_loss_distribution as pld

    repeated = [tuple((step, count * times) for step, count in parts) for parts in choices]
    grid = max(_affordable(parts, interval) for parts in repeated)
    steps = max(sum(count for _, count in parts) for parts in repeated)
    if grid > _COARSEST or steps > _MOST_STEPS:
        return None
    found = [_compose(parts, grid) for parts in choices]
    remove = _worse([one._pmf_remove for one in found], grid)
    add = _worse([one._pmf_add for one in found], grid)
    return pld.PrivacyLossDistribution(remove, add).self_compose(times)


def _compose(parts: Parts, grid: float) -> PrivacyLossDistribution:
    whole = composed(*parts[0], grid)
    for step, count in parts[1:]:
        whole = whole.compose(composed(step, count, grid))
    return whole


@lru_cache(maxsize=16)
def composed(step: Step, count: int, grid: float) -> PrivacyLossDistribution:
    """The distribution of `count` equal steps."""
    return one_step(step, grid).self_compose(count)


@lru_cache(maxsize=64)
def one_step(step: Step, grid: float) -> PrivacyLossDistribution:
    """The distribution of one step, its grid points in an array whatever their number.

    dp-accounting keeps few points in a dictionary, which it would compose with itself one step at a time.
    """
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld import privacy_loss_distribution as pld

    if step.kind == "fixed-size":
        return _fixed_size(step, grid)
    if step.kind == "truncated":
        return _dense(
            pld.from_truncated_subsampled_gaussian_mechanism(
                dataset_size=step.population,
                sampling_probability=step.rate,
                truncated_batch_size=step.most,
                noise_multiplier=step.noise,
                value_discretization_interval=grid,
            )
        )
    replaced = step.kind == "replace-one"
    relation = (
        NeighboringRelation.REPLACE_ONE if replaced else NeighboringRelation.ADD_OR_REMOVE_ONE
    )
    return _dense(
        pld.from_gaussian_mechanism(
            step.noise,
            value_discretization_interval=grid,
            sampling_prob=step.rate,
            neighboring_relation=relation,
        )
    )


def _fixed_size(step: Step, grid: float) -> PrivacyLossDistribution:
    """Sampling without replacement, one unit replaced: the larger of two divergences at every ε.

    With P and Q the Gaussians of a replaced unit, 2C apart, the hockey-stick divergence is at most that of qP + (1-q)Q
    from Q where ε ≥ 0 and that of P from qQ + (1-q)P where ε < 0 (Zhu, Dong and Wang 2022, arXiv 2106.08567, Theorem
    11). Composing either pair alone and taking the worse afterwards would be too little (Lebeda et al. 2024, arXiv
    2405.20769), so that the pointwise maximum is turned into one distribution before anything is composed.
    """
    from dp_accounting.pld import privacy_loss_distribution as pld

    pair = _dense(
        pld.from_gaussian_mechanism(
            step.noise / 2, value_discretization_interval=grid, sampling_prob=step.rate
        )
    )
    return pld.PrivacyLossDistribution(_worse([pair._pmf_remove, pair._pmf_add], grid))


def _worse(sides: Sequence[PLDPmf], grid: float) -> PLDPmf:
    """The distribution whose hockey-stick divergence at every ε is the largest of the given ones."""
    from dp_accounting.pld import pld_pmf

    low = min(side._lower_loss for side in sides)
    high = max(side._lower_loss + side.size - 1 for side in sides)
    losses = np.arange(low, high + 1) * grid
    deltas = np.max([side.get_delta_for_epsilon(losses) for side in sides], axis=0)
    deltas = np.minimum.accumulate(np.clip(deltas, 0.0, 1.0))
    worse = pld_pmf.create_pmf_pessimistic_connect_dots_fixed_gap(grid, low, high, deltas)
    return worse.to_dense_pmf()


def _dense(loss: PrivacyLossDistribution) -> PrivacyLossDistribution:
    from dp_accounting.pld import privacy_loss_distribution as pld

    remove: PLDPmf = loss._pmf_remove.to_dense_pmf()
    if loss._symmetric:
        return pld.PrivacyLossDistribution(remove)
    return pld.PrivacyLossDistribution(remove, loss._pmf_add.to_dense_pmf())


def _affordable(parts: Parts, interval: float) -> float:
    """`interval`, halved until it suits the losses of one step, doubled until all fit their grids.

    All steps together span about twice the Rényi bound at a negligible δ.
    """
    step = max(_span(one.rate, one.reach) for one, _ in parts)
    whole = 2 * renyi_epsilon(_as_segments(parts), _NEGLIGIBLE, FEW_ORDERS)

    def fits(grid: float) -> bool:
        return step <= grid * _STEP_POINTS and whole <= grid * _TOTAL_POINTS

    while any(_too_coarse(one, interval) for one, _ in parts) and fits(interval / 2):
        interval /= 2
    while not fits(interval):
        interval *= 2
    return interval


def _as_segments(parts: Parts) -> Iterable[tuple[float, float, int]]:
    return ((step.rate, step.reach, count) for step, count in parts)


def _too_coarse(step: Step, grid: float) -> bool:
    """Whether rounding to the grid is as large as a step's own loss, which many steps would add up."""
    if step.rate == 1:
        return step.reach * grid > 1
    spread = step.rate * math.sqrt(math.expm1(min(1 / step.reach**2, 700.0)))
    return spread < 2 * grid


def _span(rate: float, noise: float) -> float:
    """Width of one step's log-likelihood ratio, dp-accounting cutting the noise at ten σ."""
    if rate == 1:
        return 20 / noise
    widest = 0.5 / noise**2 + 10 / noise
    return max(widest + math.log(rate), 0.0) + min(-math.log1p(-rate), widest)
