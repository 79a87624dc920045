"""What several hospitals' ledgers mean for a patient whom more than one of them knows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from client.guard.book import Charge
from client.guard.budget import worst_cases
from common.privacy.joint import joint_epsilon

_MOST_DIFFERENT = 40  # mechanisms that are nowhere alike; more would take minutes
_MOST_KNOWN = 3


def jointly(ledgers: Mapping[str, Sequence[Charge]], delta: float) -> list[tuple[int, float]]:
    """ε at `delta` for a patient of 2, 3 … hospitals, whichever of them and in whichever role; an upper bound.

    Args:
        ledgers: by site, what its ledger holds.
        delta: δ in (0, 1).

    Returns:
        How many hospitals, and ε; empty for fewer than two sites, or too many that have nothing in common.
    """
    roles = [case for charges in ledgers.values() for case in worst_cases(charges)]
    if len(ledgers) < 2 or len({tuple(case) for case in roles}) > _MOST_DIFFERENT:
        return []
    known = range(2, min(len(ledgers), len(roles), _MOST_KNOWN) + 1)
    return [(k, joint_epsilon(roles, delta, k).epsilon) for k in known]


def notes(ledgers: Mapping[str, Sequence[Charge]], delta: float | None) -> list[str]:
    """The same in sentences."""
    found = jointly(ledgers, delta) if delta else []
    return [
        f"A patient known to {k} of these {len(ledgers)} hospitals: ε at most "
        f"{'∞' if math.isinf(value) else f'{value:.3f}'} at δ = {delta:g}, composed by PLD."
        for k, value in found
    ]
