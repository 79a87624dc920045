"""The sampling: every patient by a coin of their own, which nobody else can know."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy.special import ndtr
from scipy.stats import binom, chi2

from client.messages import Request
from simulations.attack.canaries import MarkedWorkspace
from simulations.attack.checks.base import Finding, check, unlikely
from simulations.attack.one_run import Coins
from simulations.attack.probe import Probe
from simulations.attack.subject import Subject, observable

DRAWS = 30
FEWEST, MOST = 400, 4000
LONGEST = 50
SECRETS = 400


@check(
    "sampling-distribution",
    "Poisson sampling: each patient is in a step with probability q, independently of all others and of other steps.",
)
def sampling_distribution(subject: Subject) -> Finding:
    """Count who is in single steps, and how often each is in the steps of one round."""
    rate = subject.plan.sampling_rate
    if rate == 1:
        return Finding(True, "q = 1: every patient is in every step")
    marks = min(MOST, max(FEWEST, math.ceil(20 / rate)))
    probe = Probe(subject, marks=marks, pieces=256)
    single = np.array([_taken(probe, rate, 1) for _ in range(DRAWS)])
    steps = min(LONGEST, math.ceil(1 / rate))
    several = _taken(probe, rate, steps)
    q, drawn = float(rate), float(single.sum() + several.sum())
    p_values = [
        _of_total(drawn, marks * (DRAWS + steps), q),
        _of_dispersion(single.sum(1), marks, q),
        _of_repeats(several, steps, q),
    ]
    finding = unlikely(p_values)
    observed = drawn / marks / (DRAWS + steps)
    return Finding(finding.passed, f"rate {observed:.4f} where q = {q:.4f}, {finding.figures}")


def _taken(probe: Probe, rate: Fraction, steps: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return how often each canary was in the steps of a round without noise."""
    samples = probe.with_canaries(probe.real(0), [[m] for m in range(1, probe.marks + 1)])
    found = probe.numbers(probe.released(samples, rate=rate, steps=steps))
    return np.rint(found / probe.whole).astype(np.int64)


def _of_total(total: float, trials: int, q: float) -> float:
    return float(2 * min(binom.cdf(total, trials, q), binom.sf(total - 1, trials, q)))


def _of_dispersion(
    counts: np.ndarray[tuple[int], np.dtype[np.int64]], units: int, q: float
) -> float:
    """Chance that the sizes of steps vary so little, or so much: batches of a fixed size do not vary."""
    squares = float(((counts - units * q) ** 2).sum() / (units * q * (1 - q)))
    return float(2 * min(chi2.cdf(squares, len(counts)), chi2.sf(squares, len(counts))))


def _of_repeats(counts: np.ndarray[tuple[int], np.dtype[np.int64]], steps: int, q: float) -> float:
    """Chance that patients are drawn so evenly: a shuffled epoch takes everybody once."""
    variance = steps * q * (1 - q)
    fourth = float(binom.stats(steps, q, moments="k")) * variance**2 + 3 * variance**2
    squares = (counts - steps * q) ** 2
    spread = math.sqrt((fourth - variance**2) / len(counts))
    return float(2 * ndtr(-abs(squares.mean() - variance) / spread))


@check(
    "sampling-secret",
    "Nobody can foresee who is drawn: two sites with one study, and two rounds, draw independently.",
)
def sampling_secret(subject: Subject) -> Finding:
    """Read from the releases of agents with one study, under next to no noise, who was drawn."""
    first, later = _drawn(subject, "secret-a", 2)
    other = _drawn(subject, "secret-b", 1)[0]
    agreed = [int((first == later).sum()), int((first == other).sum())]
    p_values = [_of_total(n, SECRETS, 0.5) for n in agreed]
    finding = unlikely(p_values)
    return Finding(
        finding.passed,
        f"{agreed[0]} and {agreed[1]} of {SECRETS} coins agree, {finding.figures}",
    )


def _drawn(subject: Subject, name: str, rounds: int) -> list[Coins]:
    """Return which of the canaries the rounds of an agent drew, each with probability ½."""
    study = observable(
        subject.study,
        learning_rate=subject.plan.divisor / subject.plan.clip_norm,
        rounds=2,  # both agents have one study, whatever they are asked
        local_steps=1,
        privacy={
            "noise_multiplier": 0.1,
            "epsilon": None,
            "sampling_rate": "1/2",
            "units_per_step": None,
        },
        training={"physical_batch": 256},
    )
    canaries = [[mark] for mark in range(1, SECRETS + 1)]
    few = Probe(subject).real(2)
    agent = subject.agent(name, study, marks=SECRETS, canaries=canaries, real=few)
    space = agent.space
    if not isinstance(space, MarkedWorkspace) or agent.plan is None:
        raise TypeError("The agent has no marks.")
    weights = space.initial
    scale = agent.plan.divisor / subject.plan.divisor / Probe(subject, marks=1).whole
    drawn = []
    for round_ in range(1, rounds + 1):
        request = Request(study.fingerprint, round_, weights, train=True, evaluate=False)
        answer = agent.handle(request).weights
        numbers = space.numbers(weights if answer is None else answer)
        drawn.append(np.asarray(numbers * scale > 0.5))
    return drawn
