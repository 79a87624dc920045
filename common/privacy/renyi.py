"""Rényi DP of Poisson-sampled Gaussians (Mironov 2017, arXiv 1702.07476; Mironov and others 2019, arXiv 1908.10530)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from common.privacy.events import Segment

if TYPE_CHECKING:
    from dp_accounting.rdp import RdpAccountant

FEW_ORDERS = (2, 4, 8, 16, 32, 64, 128)
"""Enough for a first guess in a millisecond."""


def renyi(parts: Iterable[Segment], orders: Sequence[float] | None = None) -> RdpAccountant:
    """dp-accounting's accountant with the segments composed; its default orders unless some are given."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(orders)
    with quiet():
        for q, sigma, steps in parts:
            accountant.compose(PoissonSampledDpEvent(q, GaussianDpEvent(sigma)), steps)
    return accountant


def renyi_epsilon(
    parts: Iterable[Segment], delta: float, orders: Sequence[float] | None = None
) -> float:
    """ε at `delta` of the segments; an order whose loss rounds to less than zero counts as zero, without a warning."""
    accountant = renyi(parts, orders)
    with quiet():
        return float(accountant.get_epsilon(delta))


@contextmanager
def quiet(name: str = "absl") -> Iterator[None]:
    """Hush dp-accounting: orders whose series does not converge are left out, which is safe."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
