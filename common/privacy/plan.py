"""What a study means for one site: steps, noise and cost, from public numbers alone.

Everything here follows from the study file and from the number of patients that the site declares, so coordinator,
site and auditor compute the same plan. Nothing depends on the private cohort.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from common.errors import StudyError
from common.privacy.accountants import epsilon_pld
from common.privacy.calibration import noise_multiplier_for
from common.privacy.clipping import Clipping, Style
from common.privacy.events import GaussianEvent
from common.study import Study

MOST_STEPS = 1_000_000


@dataclass(frozen=True)
class SitePlan:
    """The private training of one site.

    Attributes:
        declared_patients: the site's public number of patients.
        sampling_rate: q; every unit takes part in a step with this probability.
        steps_per_round: noisy steps in one round.
        rounds: rounds in the study.
        noise_multiplier: σ; the noise on a clipped sum has standard deviation σ·C.
        clip_norm: C.
        clip_style: flat, per-layer or automatic; the bound is C in all of them.
        divisor: the public constant by which a noisy sum is divided: the expected units of a step.
        delta: δ.
        epsilon: ε after all rounds for a training patient (PLD, add/remove one unit).
        evaluations: noisy releases of the held-out patients' tally.
        evaluation_noise: σ of one such release, in units of the tally's bound.
        evaluation_epsilon: ε after all of them for a held-out patient.
    """

    declared_patients: int
    sampling_rate: Fraction
    steps_per_round: int
    rounds: int
    noise_multiplier: float
    clip_norm: float
    clip_style: Style
    divisor: float
    delta: float
    epsilon: float
    evaluations: int
    evaluation_noise: float
    evaluation_epsilon: float

    @property
    def clipping(self) -> Clipping:
        """How a unit's gradient is bounded."""
        return Clipping(self.clip_norm, self.clip_style)

    @property
    def steps(self) -> int:
        """Noisy steps in the whole study."""
        return self.rounds * self.steps_per_round

    def epsilon_after(self, rounds: int) -> float:
        """Return ε for a training patient after so many rounds."""
        steps = rounds * self.steps_per_round
        return _epsilon(self.noise_multiplier, self.delta, self.sampling_rate, steps)

    def training_event(self, steps: int | None = None) -> GaussianEvent:
        """Return the mechanism event of one round's training, or of so many steps."""
        taken = self.steps_per_round if steps is None else steps
        return GaussianEvent(
            "poisson", self.sampling_rate, self.noise_multiplier, self.clip_norm, taken
        )

    def evaluation_event(self, bound: float) -> GaussianEvent:
        """Return the mechanism event of one noisy tally whose units add at most `bound`."""
        return GaussianEvent("full", Fraction(1), self.evaluation_noise, bound, 1)


def plan_site(study: Study, declared_patients: int) -> SitePlan:
    """Derive a site's plan from the study.

    Args:
        study: a study with privacy enabled.
        declared_patients: the site's public number of patients, training and held-out together.

    Raises:
        StudyError: the sampling asks for more units than the site declares, or no noise reaches the target.
    """
    privacy = study.privacy
    expected_training = declared_units(study, declared_patients) * (1 - study.data.test_fraction)
    rate = _sampling_rate(study, expected_training)
    steps = study.training.local_steps or math.ceil((study.training.local_epochs or 1) / rate)
    total = _bounded(steps * study.federation.rounds)
    sigma = privacy.noise_multiplier or _calibrate(
        float(privacy.epsilon or 0), privacy.delta, rate, total
    )
    epsilon = _epsilon(sigma, privacy.delta, rate, total)
    evaluations = len(evaluated_rounds(study))
    target = study.evaluation.epsilon or privacy.epsilon or _usable(epsilon)
    evaluation_noise = _calibrate(target, privacy.delta, Fraction(1), evaluations)
    return SitePlan(
        declared_patients=declared_patients,
        sampling_rate=rate,
        steps_per_round=steps,
        rounds=study.federation.rounds,
        noise_multiplier=sigma,
        clip_norm=privacy.clip_norm,
        clip_style=privacy.clipping,
        divisor=max(1.0, float(rate) * expected_training),
        delta=privacy.delta,
        epsilon=epsilon,
        evaluations=evaluations,
        evaluation_noise=evaluation_noise,
        evaluation_epsilon=_epsilon(evaluation_noise, privacy.delta, Fraction(1), evaluations),
    )


def declared_units(study: Study, declared_patients: int) -> int:
    """Return the public number of units: patients, or as many samples as the study grants each of them."""
    by_patient = study.privacy.unit == "patient"
    return declared_patients * (1 if by_patient else study.privacy.samples_per_patient)


def _bounded(steps: int) -> int:
    """Refuse numbers of steps that no study takes and that accounting would take hours for."""
    if steps > MOST_STEPS:
        raise StudyError(
            f"The study takes {steps:.3g} noisy steps; at most {MOST_STEPS:,} can be accounted for.",
            where="[training] local_steps or local_epochs, [federation] rounds",
            fix="Lower one of them, or raise the sampling rate.",
        )
    return steps


def _usable(epsilon: float) -> float:
    if not 0 < epsilon < math.inf:
        raise StudyError(
            f"The study's own noise gives ε = {epsilon}, which says nothing about its statistics.",
            where="[evaluation] epsilon",
            fix="Give the statistics an epsilon of their own, or set [privacy] epsilon.",
        )
    return epsilon


def evaluated_rounds(study: Study) -> list[int]:
    """Return the rounds whose resulting model is evaluated: every n-th, and the last."""
    rounds, every = study.federation.rounds, study.evaluation.every
    return [r for r in range(1, rounds + 1) if r % every == 0 or r == rounds]


def _sampling_rate(study: Study, expected_training: float) -> Fraction:
    privacy = study.privacy
    if privacy.sampling_rate is not None:
        return Fraction(privacy.sampling_rate)
    wanted = privacy.units_per_step or 0
    if wanted > expected_training:
        raise StudyError(
            f"{wanted} units a step are more than the {expected_training:.0f} training {privacy.unit}s "
            "that the site declares.",
            where="[privacy] units_per_step",
            fix="Lower it, or give sampling_rate instead.",
        )
    return Fraction(wanted) / Fraction(expected_training).limit_denominator(10**6)


@lru_cache(maxsize=256)
def _calibrate(epsilon: float, delta: float, rate: Fraction, steps: int) -> float:
    return noise_multiplier_for(epsilon, delta, rate, steps)


@lru_cache(maxsize=256)
def _epsilon(sigma: float, delta: float, rate: Fraction, steps: int) -> float:
    return epsilon_pld([GaussianEvent("poisson", rate, sigma, 1.0, steps)], delta)
