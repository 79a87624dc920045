"""The one-run attack: a thousand canaries in a single training run, through the agent and its ledger."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.messages import Request
from common.errors import StudyError
from common.lazy import lazy
from common.privacy.plan import SitePlan
from common.study import Study
from simulations.attack.alarm import FALSE_ALARM, Moments, Separation, moments, separation
from simulations.attack.bounds import (
    Guesses,
    approximate_bound,
    epsilon_of,
    gaussian_bound,
    steinke,
)
from simulations.attack.canaries import MarkedWorkspace
from simulations.attack.subject import Subject, observable

Floats = npt.NDArray[np.float64]
Coins = npt.NDArray[np.bool_]

SIGNIFICANCE = 0.05
GUESSED_SHARE = 5
"""One canary in five is guessed: those with the highest and the lowest scores. Fixed before anything is seen."""
FULL_ROUNDS = 10


@dataclass(frozen=True)
class Outcome:
    """What an attack saw.

    Attributes:
        setting: "full batches" or "as configured".
        plan: q, σ, steps and the ε that is claimed for them.
        inside: `[m]`, which canaries took part.
        scores: `[m]`, what each canary's coordinate gained over all steps, in units of C.
    """

    setting: str
    plan: SitePlan
    inside: Coins
    scores: Floats

    @property
    def full(self) -> bool:
        """Whether every unit is in every step, so that the mechanism ought to be exactly Gaussian."""
        return self.plan.sampling_rate == 1

    @property
    def claimed_mu(self) -> float:
        """μ of the Gaussian mechanism that is claimed, where it is one."""
        return float(np.sqrt(self.plan.steps)) / self.plan.noise_multiplier

    @lazy
    def guessed(self) -> Guesses:
        """The outcome of the fixed number of guesses."""
        return self.guess(2 * (len(self.scores) // (2 * GUESSED_SHARE)))

    def guess(self, guesses: int) -> Guesses:
        """Guess "in" for the highest scores and "out" for as many lowest."""
        order, half = np.argsort(self.scores, kind="stable"), guesses // 2
        lowest, highest = order[:half], order[len(order) - half :]
        correct = int((~self.inside[lowest]).sum() + self.inside[highest].sum())
        return Guesses(len(self.scores), 2 * half, correct)

    def f_dp(self, found: Guesses, significance: float = SIGNIFICANCE) -> float:
        """The certificate: lower bound on ε at the study's δ."""
        if self.full:
            return epsilon_of(gaussian_bound(found, significance), self.plan.delta)
        return approximate_bound(found, self.plan.delta, significance)

    def steinke(self, found: Guesses) -> float:
        """The bound that stands beside it."""
        return steinke(found, self.plan.delta, SIGNIFICANCE)

    @lazy
    def refuted(self) -> bool:
        """Whether the claim is refuted beyond doubt: the certificate lies above it even at `FALSE_ALARM`."""
        return self.f_dp(self.guessed, FALSE_ALARM) > self.plan.epsilon

    @property
    def doubtful(self) -> bool:
        """Whether the certificate lies above the claim at 95 %, as for one honest study in twenty at most."""
        return self.bound > self.plan.epsilon and not self.leaking

    @lazy
    def bound(self) -> float:
        """The certificate for the fixed number of guesses."""
        return self.f_dp(self.guessed)

    @lazy
    def separation(self) -> Separation | None:
        """The Gaussian point estimate; None where the mechanism is not Gaussian."""
        if not self.full:
            return None
        return separation(self.scores, self.inside, self.claimed_mu)

    @lazy
    def moments(self) -> Moments:
        """Noise and share of the scores against the claim."""
        plan = self.plan
        return moments(
            self.scores, self.inside, float(plan.sampling_rate), plan.noise_multiplier, plan.steps
        )

    @property
    def point_estimate(self) -> float | None:
        """ε at δ of the Gaussian point estimate."""
        return None if self.separation is None else epsilon_of(self.separation.mu, self.plan.delta)

    @property
    def alarm(self) -> bool:
        """Whether noise, sampling or clipping are visibly not what is claimed."""
        return self.moments.alarm or (self.separation is not None and self.separation.alarm)

    @property
    def leaking(self) -> bool:
        """Whether the claim does not stand."""
        return self.alarm or self.refuted


def full_batches(subject: Subject) -> Study:
    """Return the study with every patient in every step and noise that costs the very ε that it claims.

    Subsampling hides a canary that was not drawn, so an attack sees the least of it; without, the claim is tight.

    Raises:
        StudyError: the study claims no finite ε.
    """
    claimed = subject.study.privacy.epsilon or subject.plan.epsilon
    if not np.isfinite(claimed):
        raise StudyError(
            "The study's noise is so small that it claims no finite ε: there is no promise to test.",
            where="[privacy] noise_multiplier",
            fix="Raise it, or give epsilon instead.",
        )
    mechanism = {
        "epsilon": float(claimed),
        "noise_multiplier": None,
        "sampling_rate": "1",
        "units_per_step": None,
    }
    return observable(subject.study, rounds=FULL_ROUNDS, local_steps=1, privacy=mechanism)


def attack(subject: Subject, study: Study, canaries: int, name: str) -> Outcome:
    """Toss the coins, train, and score every canary by what its coordinate gained."""
    inside = np.random.default_rng(subject.seed).random(canaries) < 0.5
    samples = 2 if study.privacy.unit == "patient" else 1
    members = [[int(k) + 1] * samples for k in np.flatnonzero(inside)]
    agent = subject.agent(name, study, marks=canaries, canaries=members, seed=subject.seed)
    space, plan = agent.space, agent.plan
    if not isinstance(space, MarkedWorkspace) or plan is None:
        raise TypeError("The agent has no marks.")
    agent.describe()
    weights = space.initial
    gained = np.zeros(canaries)
    for round_ in range(1, plan.rounds + 1):
        request = Request(study.fingerprint, round_, weights, train=True, evaluate=False)
        answer = agent.handle(request).weights
        if answer is None:
            raise TypeError("The agent sent no weights.")
        gained += space.numbers(answer).astype(np.float64) - space.numbers(weights)
        weights = answer
    scale = plan.divisor / study.training.learning_rate / plan.clip_norm
    setting = "full batches" if plan.sampling_rate == 1 else "as configured"
    return Outcome(setting, plan, inside, gained * scale)
