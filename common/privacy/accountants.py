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

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from common.errors import StudyError
from common.privacy import prv
from common.privacy.distributions import Kind, Parts, Step, total
from common.privacy.events import Event, GaussianEvent, Segment, UnprotectedEvent
from common.privacy.renyi import FEW_ORDERS, renyi_epsilon

Adjacency = Literal["add/remove", "replace-one"]

RECORD_INTERVAL = 1e-4  # grid of the figure of record
PROGRESS_INTERVAL = 1e-3  # fast enough to show after every step


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


def epsilon_pld(
    events: Sequence[Event],
    delta: float,
    interval: float = RECORD_INTERVAL,
    *,
    adjacency: Adjacency = "add/remove",
) -> float:
    """ε by privacy loss distributions: 0 for nothing, inf when something left unprotected.

    Args:
        events: what ran on the same units; merged by equal (q, σ) first.
        delta: δ in (0, 1).
        interval: the grid on which losses are rounded up; coarsened when the losses are very large, refined when
            those of one step are smaller than it.
        adjacency: what may differ between two cohorts: one unit more or less, or one replaced by any other.
    """
    _require_delta(delta)
    if unprotected(events):
        return math.inf
    kind: Kind = "replace-one" if adjacency == "replace-one" else "poisson"
    return epsilon_of(poisson_parts(events, kind), delta, interval)


def epsilon_rdp(events: Sequence[Event], delta: float) -> float:
    """ε by Rényi DP over dp-accounting's default orders."""
    _require_delta(delta)
    return math.inf if unprotected(events) else _rdp(segments(events), delta)


def epsilon_renyi_quick(events: Sequence[Event], delta: float) -> float:
    """Rényi bound over a few orders, in a millisecond: a first guess, never a figure to report."""
    parts = segments(events)
    return renyi_epsilon(parts, delta, FEW_ORDERS) if parts else 0.0


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


def poisson_parts(events: Iterable[Event], kind: Kind = "poisson") -> Parts:
    """The segments as steps of one adjacency; a full batch is a Poisson batch with q = 1."""
    return tuple((Step(kind, q, sigma), count) for q, sigma, count in segments(events))


@lru_cache(maxsize=4096)
def epsilon_of(parts: Parts, delta: float, interval: float = RECORD_INTERVAL) -> float:
    """ε by privacy loss distributions of steps under any sampling; inf where the losses outgrow every grid.

    More than ten million steps, and steps whose losses are smaller than the finest grid that fits, get the Rényi bound
    where there is one and it is lower.
    """
    if not parts:
        return 0.0
    whole, coarse = total(parts, interval)
    found = math.inf if whole is None else float(whole.get_epsilon_for_delta(delta))
    bounded = coarse and all(step.kind == "poisson" for step, _ in parts)
    segments = tuple((step.rate, step.noise, count) for step, count in parts)
    return min(found, _rdp(segments, delta)) if bounded else found


@lru_cache(maxsize=4096)
def _rdp(parts: tuple[Segment, ...], delta: float) -> float:
    return renyi_epsilon(parts, delta) if parts else 0.0


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise StudyError(
            f"Expected delta to be above 0 and below 1, not {delta!r}.",
            where="delta",
            fix="Choose δ well below one in the number of patients, for example 1e-5.",
        )
