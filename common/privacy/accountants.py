"""ε of a list of events, by three independent accountants.

The figure of record is the privacy loss distribution (PLD) of Google's dp-accounting, discretised
with the pessimistic "connect the dots" rule (Doroshenko et al. 2022, arXiv 2207.04380). Opacus' PRV
(Gopi et al. 2021, arXiv 2106.02848) and Rényi DP (Mironov 2017, arXiv 1702.07476) stand beside it
as checks. Adjacency is adding or removing one unit of privacy, everywhere.

Every grid is pessimistic: a coarser interval, or the coarsening of a grid that would not fit into
memory, can only raise ε. Losses so large that even a grid of 1 would not hold them are reported as
ε = ∞.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

from common.errors import StudyError
from common.privacy import prv
from common.privacy.events import Event, GaussianEvent, Segment, UnprotectedEvent

# dp-accounting brings scipy's optimisers along, a second that runs without privacy need not wait:
# it is imported where it is used.
if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
    from dp_accounting.rdp import RdpAccountant

RECORD_INTERVAL = 1e-4  # grid of the figure of record
PROGRESS_INTERVAL = 1e-3  # fast enough to show after every step
_STEP_POINTS = 65_536  # one step: building its distribution costs about 4 µs a point
_TOTAL_POINTS = 4_000_000  # the composed grid: at most about 250 MB
_COARSEST = 1.0
_NEGLIGIBLE = 1e-15  # probability mass that dp-accounting truncates, too
_FEW_ORDERS = (2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Epsilons:
    """ε by each accountant, for one δ.

    Attributes:
        pld: the figure of record.
        prv: Opacus' upper bound (its error allowance of 0.01 included); None when it would not fit.
        rdp: the Rényi bound, looser.
        prv_note: why `prv` is None; empty otherwise.
    """

    pld: float
    prv: float | None
    rdp: float
    prv_note: str = ""


def epsilon(events: Sequence[Event], delta: float) -> Epsilons:
    """ε at `delta` of everything in `events` together, by all three accountants.

    Raises:
        StudyError: delta is not in (0, 1).
    """
    rate, note = epsilon_prv(events, delta)
    return Epsilons(epsilon_pld(events, delta), rate, epsilon_rdp(events, delta), note)


def epsilon_pld(events: Sequence[Event], delta: float, interval: float = RECORD_INTERVAL) -> float:
    """ε by privacy loss distributions: 0 for nothing, inf when something left unprotected.

    Args:
        events: what ran on the same units; merged by equal (q, σ) first.
        delta: δ in (0, 1).
        interval: the grid on which losses are rounded up; coarsened when the losses are very large.
    """
    _require_delta(delta)
    return math.inf if unprotected(events) else _pld(segments(events), delta, interval)


def epsilon_rdp(events: Sequence[Event], delta: float) -> float:
    """ε by Rényi DP over dp-accounting's default orders."""
    _require_delta(delta)
    return math.inf if unprotected(events) else _rdp(segments(events), delta)


def epsilon_renyi_quick(events: Sequence[GaussianEvent], delta: float) -> float:
    """Rényi bound over a few orders, in a millisecond: a first guess, never a figure to report."""
    parts = segments(events)
    return float(_renyi(parts, _FEW_ORDERS).get_epsilon(delta)) if parts else 0.0


def epsilon_prv(events: Sequence[Event], delta: float) -> tuple[float | None, str]:
    """ε by Opacus' privacy random variables, or None with the reason."""
    _require_delta(delta)
    return (math.inf, "") if unprotected(events) else prv.upper_bound(segments(events), delta)


def unprotected(events: Iterable[Event]) -> bool:
    """Whether something left without noise that no policy declared public."""
    bare = (event for event in events if isinstance(event, UnprotectedEvent))
    return any(event.releases > 0 and not event.declared_public for event in bare)


def segments(events: Iterable[Event]) -> tuple[Segment, ...]:
    """Steps per distinct (q, σ), sorted; full batches collapse into one Gaussian, exactly."""
    steps: defaultdict[tuple[Fraction, float], int] = defaultdict(int)
    for event in events:
        if isinstance(event, GaussianEvent) and event.steps:
            steps[event.sampling_rate, event.noise_multiplier] += event.steps
    full = math.fsum(n / sigma**2 for (q, sigma), n in steps.items() if q == 1)
    merged = [(float(q), sigma, n) for (q, sigma), n in steps.items() if q != 1]
    if full > 0:
        merged.append((1.0, 1 / math.sqrt(full), 1))
    return tuple(sorted(merged))


@lru_cache(maxsize=4096)
def _pld(parts: tuple[Segment, ...], delta: float, interval: float) -> float:
    if not parts:
        return 0.0
    grid = _affordable(parts, interval)
    if grid > _COARSEST:
        return math.inf
    total = _composed(*parts[0], grid)
    for part in parts[1:]:
        total = total.compose(_composed(*part, grid))
    return float(total.get_epsilon_for_delta(delta))


@lru_cache(maxsize=16)
def _composed(q: float, sigma: float, steps: int, grid: float) -> PrivacyLossDistribution:
    return _one_step(q, sigma, grid).self_compose(steps)


@lru_cache(maxsize=64)
def _one_step(q: float, sigma: float, grid: float) -> PrivacyLossDistribution:
    from dp_accounting.pld import privacy_loss_distribution as pld

    return pld.from_gaussian_mechanism(sigma, value_discretization_interval=grid, sampling_prob=q)


def _affordable(parts: tuple[Segment, ...], interval: float) -> float:
    """`interval`, doubled until the losses of one step and of all steps fit their grids.

    All steps together span about twice the Rényi bound at a negligible δ.
    """
    step = max(_span(q, sigma) for q, sigma, _ in parts)
    total = 2 * _renyi(parts, _FEW_ORDERS).get_epsilon(_NEGLIGIBLE)
    while step > interval * _STEP_POINTS or total > interval * _TOTAL_POINTS:
        interval *= 2
    return interval


def _span(q: float, sigma: float) -> float:
    """Width of one step's log-likelihood ratio, dp-accounting cutting the noise at ten σ."""
    if q == 1:
        return 20 / sigma
    largest = 0.5 / sigma**2 + 10 / sigma + math.log(q)
    return min(20 / sigma, max(largest, 0.0) - math.log1p(-q))


@lru_cache(maxsize=4096)
def _rdp(parts: tuple[Segment, ...], delta: float) -> float:
    return float(_renyi(parts).get_epsilon(delta)) if parts else 0.0


def _renyi(parts: Iterable[Segment], orders: Sequence[float] | None = None) -> RdpAccountant:
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(orders)
    with _quiet("absl"):  # orders whose series does not converge are left out, which is safe
        for q, sigma, steps in parts:
            accountant.compose(PoissonSampledDpEvent(q, GaussianDpEvent(sigma)), steps)
    return accountant


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise StudyError(f"Expected delta to be above 0 and below 1, not {delta!r}.", where="delta")
