"""The honest ε of a stated run, by the theorem that its way of sampling allows.

The same q, σ and number of steps mean different things when batches are drawn by coins, cut from a shuffled list, or
drawn with a fixed size; only the first has the amplification that most accountants compute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction

from common.privacy.accountants import epsilon_of, epsilon_pld, epsilon_prv, epsilon_rdp
from common.privacy.distributions import Step
from common.privacy.events import Event, GaussianEvent
from common.privacy.renyi import quiet
from common.privacy.runs import StatedRun
from common.privacy.shuffling import shuffled_at_least

ZEROED = "add/remove one unit by zeroing it"
"""One unit's contribution is there or is zero; the number of units, and so the shape of the batches, is public."""
REPLACED = "replace one unit"

_NO_RDP = "dp-accounting has no Rényi bound for this sampling and adjacency"
NO_PLD = "the losses outgrow every grid that fits into memory, or δ is too small for it"
_NO_PRV = "Opacus' PRV accountant covers Poisson sampling and full batches under add/remove only"
_WHOLE_EPOCHS = 100_000  # more of them only raise a lower bound that is out of all measure


@dataclass(frozen=True)
class Account:
    """What can be proven about a stated run.

    Attributes:
        pld, prv, rdp: ε by each accountant, None where it does not apply.
        missing: why, for each that is None.
        adjacency: of these figures.
        theorem: what proves them.
        replace_one: ε by PLD when a unit is replaced by another; None where it is not known.
        at_least: a lower bound on the true ε where one is known (shuffled batches), else None.
    """

    pld: float | None
    prv: float | None
    rdp: float | None
    adjacency: str
    theorem: str
    replace_one: float | None
    missing: dict[str, str] = field(default_factory=dict)
    at_least: float | None = None

    @property
    def epsilon(self) -> float:
        """The figure of record: by PLD, else the Rényi bound, else infinite."""
        known = [value for value in (self.pld, self.rdp) if value is not None]
        return known[0] if known else math.inf


def account(run: StatedRun) -> Account:
    """Account a stated run by the theorem for its sampling."""
    if run.batches == "shuffled":
        return _shuffled(run)
    if run.batches == "fixed" and run.rate < 1:
        return _fixed(run)
    return _poisson(run) if run.most is None else _truncated(run)


def as_if_poisson(run: StatedRun) -> float:
    """ε by PLD as if every batch had been drawn by independent coins."""
    return epsilon_pld(_events(run.rate, run.noise_multiplier, run.steps), run.delta)


def _poisson(run: StatedRun) -> Account:
    theorem = (
        "Poisson sampling: the tight pair of the sampled Gaussian (Zhu, Dong and Wang 2022, arXiv 2106.08567), "
        "composed exactly"
    )
    events = _events(run.rate, run.noise_multiplier, run.steps)
    return _account(events, run, "add/remove one unit", theorem)


def _shuffled(run: StatedRun) -> Account:
    theorem = (
        f"shuffled batches: a unit is in one batch of every epoch, so that {run.epochs:,} epoch(s) cost at most as "
        "many Gaussian mechanisms on all data, with no amplification (Chua et al. 2024, arXiv 2403.17673). Shuffling "
        "may do better; how much is not proven here"
    )
    found = _account(_events(Fraction(1), run.noise_multiplier, run.epochs), run, ZEROED, theorem)
    whole = run.steps // run.batches_per_epoch
    least = shuffled_at_least(
        run.noise_multiplier, run.batches_per_epoch, min(whole, _WHOLE_EPOCHS), run.delta
    )
    return replace(found, at_least=min(least, found.epsilon))


def _fixed(run: StatedRun) -> Account:
    step = Step("fixed-size", float(run.rate), run.noise_multiplier)
    pld = epsilon_of(((step, run.steps),), run.delta)
    theorem = (
        "batches of fixed size without replacement: Zhu, Dong and Wang 2022 (arXiv 2106.08567, Theorem 11) for a "
        "replaced unit, which may move a sum by 2C; RDP by Wang, Balle and Kasiviswanathan 2019 (arXiv 1808.00087)"
    )
    return _told(pld, None, _fixed_size_rdp(run), REPLACED, theorem, pld, _NO_PRV)


def _truncated(run: StatedRun) -> Account:
    step = Step(
        "truncated",
        float(run.rate),
        run.noise_multiplier,
        run.units or 0,
        min(run.most or 0, run.units or 0),
    )
    theorem = (
        f"Poisson batches cut to {run.most:,}: a cut makes room for one unit by leaving out another, which costs extra "
        "(Ganesh 2025, arXiv 2508.15089)"
    )
    pld = epsilon_of(((step, run.steps),), run.delta)
    return _told(pld, None, None, ZEROED, theorem, None, _NO_PRV)


def _account(events: list[Event], run: StatedRun, adjacency: str, theorem: str) -> Account:
    prv, note = epsilon_prv(events, run.delta)
    pld, rdp = epsilon_pld(events, run.delta), epsilon_rdp(events, run.delta)
    replaced = epsilon_pld(events, run.delta, adjacency="replace-one")
    return _told(pld, prv, rdp, adjacency, theorem, replaced, note)


def _told(
    pld: float,
    prv: float | None,
    rdp: float | None,
    adjacency: str,
    theorem: str,
    replaced: float | None,
    no_prv: str,
) -> Account:
    """An account whose figures are finite or missing for a reason."""
    figures = {"pld": pld, "prv": prv, "rdp": rdp}
    known = {
        name: value for name, value in figures.items() if value is not None and math.isfinite(value)
    }
    why = {"pld": NO_PLD, "prv": no_prv or NO_PLD, "rdp": _NO_RDP}
    return Account(
        pld=known.get("pld"),
        prv=known.get("prv"),
        rdp=known.get("rdp"),
        adjacency=adjacency,
        theorem=theorem,
        replace_one=replaced if replaced is not None and math.isfinite(replaced) else None,
        missing={name: why[name] for name in figures if name not in known},
    )


def _fixed_size_rdp(run: StatedRun) -> float:
    from dp_accounting import GaussianDpEvent, NeighboringRelation
    from dp_accounting.dp_event import SampledWithoutReplacementDpEvent
    from dp_accounting.rdp import RdpAccountant

    gaussian = GaussianDpEvent(run.noise_multiplier / 2)  # a replaced unit moves the sum by 2C
    event = SampledWithoutReplacementDpEvent(run.rate.denominator, run.rate.numerator, gaussian)
    accountant = RdpAccountant(neighboring_relation=NeighboringRelation.REPLACE_ONE)
    with quiet():
        return float(accountant.compose(event, run.steps).get_epsilon(run.delta))


def _events(rate: Fraction, sigma: float, steps: int) -> list[Event]:
    return [GaussianEvent("full" if rate == 1 else "poisson", rate, sigma, 1.0, steps)]
