"""What mechanism ran: frozen records, kept apart from how they are accounted.

A ledger stores these and never an ε: whoever reads it later may account anew, with a better
accountant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, get_args

from common.errors import StudyError

Sampler = Literal["poisson", "full"]
Segment = tuple[float, float, int]
"""q, σ and steps of a Gaussian mechanism, as accountants take them."""
_RATE = re.compile(r"[1-9][0-9]{0,29}(/[1-9][0-9]{0,29})?")


@dataclass(frozen=True)
class GaussianEvent:
    """Some steps of the (subsampled) Gaussian mechanism on sums clipped per unit of privacy.

    Attributes:
        sampler: "poisson" (every unit enters a step by its own coin) or "full" (all do).
        sampling_rate: q, public and exact; in (0, 1], and 1 for "full".
        noise_multiplier: σ; the noise has standard deviation σ times `clip_norm`.
        clip_norm: C, the L2 bound on what one unit adds to the sum.
        steps: how many times the mechanism ran.

    Raises:
        StudyError: an attribute is outside its range.
    """

    sampler: Sampler
    sampling_rate: Fraction
    noise_multiplier: float
    clip_norm: float
    steps: int

    def __post_init__(self) -> None:
        _require(self.sampler in get_args(Sampler), "sampler", self.sampler, '"poisson" or "full"')
        _require_rate(self.sampling_rate, self.sampler)
        for name in ("noise_multiplier", "clip_norm"):
            object.__setattr__(self, name, _positive(name, getattr(self, name)))
        _require_count("steps", self.steps)

    def with_steps(self, steps: int) -> GaussianEvent:
        """The same mechanism, run another number of times."""
        return replace(self, steps=steps)

    def to_json(self) -> dict[str, Any]:
        """As JSON values; the rate stays an exact fraction ("1/30")."""
        return {
            "type": "gaussian",
            "sampler": self.sampler,
            "sampling_rate": str(self.sampling_rate),
            "noise_multiplier": self.noise_multiplier,
            "clip_norm": self.clip_norm,
            "steps": self.steps,
        }

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> GaussianEvent:
        """Inverse of `to_json`.

        Raises:
            StudyError: a key is missing or unknown, or a value is outside its range.
        """
        values = _fields(body, "gaussian", GaussianEvent)
        rate = values["sampling_rate"]
        exact = isinstance(rate, str) and _RATE.fullmatch(rate) is not None
        _require(exact, "sampling_rate", rate, 'a fraction such as "1/30"')
        return GaussianEvent(**{**values, "sampling_rate": Fraction(rate)})


@dataclass(frozen=True)
class UnprotectedEvent:
    """Something computed from patients that left without noise.

    Attributes:
        what: what left, in words ("weights trained without noise", "confusion counts").
        releases: how many times.
        declared_public: the site's policy calls it a public statistic; reported apart, not as ε =
            ∞.
    """

    what: str
    releases: int
    declared_public: bool = False

    def __post_init__(self) -> None:
        _require(isinstance(self.what, str) and self.what != "", "what", self.what, "some words")
        _require_count("releases", self.releases)
        flag = self.declared_public
        _require(isinstance(flag, bool), "declared_public", flag, "true or false")

    @property
    def steps(self) -> int:
        """The releases, under the name that every event has for its count."""
        return self.releases

    def with_steps(self, steps: int) -> UnprotectedEvent:
        """The same, released another number of times."""
        return replace(self, releases=steps)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "type": "unprotected",
            "what": self.what,
            "releases": self.releases,
            "declared_public": self.declared_public,
        }

    @staticmethod
    def from_json(body: Mapping[str, Any]) -> UnprotectedEvent:
        """Inverse of `to_json`.

        Raises:
            StudyError: a key is missing or unknown, or a value is outside its range.
        """
        return UnprotectedEvent(**_fields(body, "unprotected", UnprotectedEvent))


Event = GaussianEvent | UnprotectedEvent
_TYPES: Mapping[str, type[Event]] = {"gaussian": GaussianEvent, "unprotected": UnprotectedEvent}


def event_from_json(body: Mapping[str, Any]) -> Event:
    """The event of any type that `to_json` wrote.

    Raises:
        StudyError: the type is unknown or the values are outside their ranges.
    """
    kind = body.get("type") if isinstance(body, Mapping) else None
    known = isinstance(kind, str) and kind in _TYPES
    _require(known, "type", kind, f"one of {', '.join(_TYPES)}")
    return _TYPES[str(kind)].from_json(body)


def _fields(body: Mapping[str, Any], kind: str, cls: type[Event]) -> dict[str, Any]:
    names = set(cls.__dataclass_fields__)
    _require(body.get("type") == kind, "type", body.get("type"), f'"{kind}"')
    given = set(body) - {"type"}
    _require(given == names, "keys", sorted(given), f"exactly {', '.join(sorted(names))}")
    return {name: body[name] for name in names}


def _require(ok: bool, name: str, value: object, rule: str) -> None:
    if not ok:
        raise StudyError(f"Expected {name} to be {rule}, not {value!r}.", where=name)


def _require_rate(rate: Fraction, sampler: str) -> None:
    exact = isinstance(rate, Fraction)
    _require(exact, "sampling_rate", rate, "an exact fractions.Fraction")
    _require(0 < rate <= 1, "sampling_rate", str(rate), "above 0 and at most 1")
    if sampler == "full":
        _require(rate == 1, "sampling_rate", str(rate), '1 with sampler "full"')


def _positive(name: str, value: object) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    _require(number, name, value, "a number above 0")
    result = float(value)  # type: ignore[arg-type]
    _require(math.isfinite(result) and result > 0, name, value, "finite and above 0")
    return result


def _require_count(name: str, value: object) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    _require(whole and value >= 0, name, value, "a whole number, 0 or more")  # type: ignore[operator]
