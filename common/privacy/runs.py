"""A run of DP-SGD as somebody states it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from common.errors import StudyError

Batches = Literal["poisson", "shuffled", "fixed"]
MOST_STEPS = 10**12


@dataclass(frozen=True)
class StatedRun:
    """A run of DP-SGD as its authors state it.

    Attributes:
        batches: how batches are drawn: "poisson", "shuffled" (every epoch a new order, cut into batches) or "fixed"
            (every step a uniform subset of one size).
        rate: q, expected share of the units in a batch; exact.
        noise_multiplier: σ, in units of the clip norm.
        steps: noisy steps.
        delta: δ.
        units: how many units there are, where known.
        most: largest batch where Poisson batches are cut, else None.

    Raises:
        StudyError: a value is out of range, or `most` is given where it means nothing.
    """

    batches: Batches
    rate: Fraction
    noise_multiplier: float
    steps: int
    delta: float
    units: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        ways = get_args(Batches)
        _require(self.batches in ways, "sampler", self.batches, "poisson, shuffled or fixed")
        _require(0 < self.rate <= 1, "q", str(self.rate), "above 0 and at most 1")
        _require_noise(self.noise_multiplier)
        _require(1 <= self.steps <= MOST_STEPS, "steps", _short(self.steps), f"1 … {MOST_STEPS:,}")
        _require_delta(self.delta)
        for name, value in (("n", self.units), ("max-batch", self.most)):
            _require(value is None or value >= 1, name, value, "1 or more")
        if self.most is not None and (self.batches != "poisson" or self.units is None):
            raise StudyError(
                "A largest batch is a matter of Poisson sampling from a known number of units.",
                where="max-batch",
                fix="Give n and batch with sampler poisson, or leave it out.",
            )

    @property
    def batches_per_epoch(self) -> int:
        """⌈1/q⌉, the last batch of a shuffled epoch being smaller where n is no multiple."""
        return math.ceil(1 / self.rate)

    @property
    def epochs(self) -> int:
        """Epochs begun; a unit is in at most one batch of each when batches are shuffled."""
        return math.ceil(Fraction(self.steps, self.batches_per_epoch))


def _require_noise(sigma: float) -> None:
    if not 0 < sigma < math.inf:
        raise StudyError(
            f"Expected sigma to be finite and above 0, not {sigma!r}.",
            where="sigma",
            fix="State the noise in units of the clip norm; without noise no ε is finite.",
        )


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise StudyError(
            f"Expected delta to be above 0 and below 1, not {delta!r}.",
            where="delta",
            fix="State δ well below one in the number of units, for example 1e-5.",
        )


def _require(ok: bool, name: str, value: object, rule: str) -> None:
    if not ok:
        raise StudyError(f"Expected {name} to be {rule}, not {value!r}.", where=name)


def _short(count: int) -> object:
    return count if abs(count) < 10**15 else "a number of more than 15 digits"
