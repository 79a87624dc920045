"""The noise: as much as is charged for, on everything, and never the same twice."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import torch
from scipy.special import ndtr
from scipy.stats import chi2, kstest

from client.messages import Request
from client.randomness import Randomness
from common.privacy.noise import SecureRandom
from simulations.attack.canaries import MarkedWorkspace
from simulations.attack.checks.base import Finding, check, unlikely
from simulations.attack.probe import Floats, Probe
from simulations.attack.subject import Subject, observable

SIGMA = 2.0
FEWEST_DRAWS, MOST_DRAWS = 3, 30
VALUES = 20_000
MARKS = 300
STREAMS = 4096
STEPS = 4
ROUNDS = 3


def noise_of(subject: Subject) -> dict[str, Floats]:
    """Return the noise on every trained tensor, in units of σC: a step with noise less the same without."""
    probe = Probe(subject, marks=MARKS)
    samples = probe.with_canaries(probe.real(6), [[mark] for mark in range(1, 5)])
    trained = {n for n, p in probe.space.template.named_parameters() if p.requires_grad}
    found: dict[str, list[Floats]] = {name: [] for name in trained}
    draws = min(MOST_DRAWS, max(FEWEST_DRAWS, VALUES // probe.space.layout.size))
    for draw in range(draws):
        keys = [SecureRandom.fixed(draw, "sampling") for _ in range(2)]
        quiet = probe.released(samples, sampling=keys[0])
        noisy = probe.released(samples, sampling=keys[1], sigma=SIGMA)
        start = 0
        for name, shape in probe.space.layout.entries:
            stop = start + int(np.prod(shape))
            if name in found:
                found[name].append((noisy - quiet)[start:stop] / SIGMA)
            start = stop
    return {name: np.concatenate(parts) for name, parts in found.items()}


@check(
    "noise-scale",
    "Every released value of every tensor carries noise of standard deviation σC, once a step.",
)
def noise_scale(subject: Subject) -> Finding:
    """Test the variance of each tensor's noise."""
    found = noise_of(subject)
    p_values = [_of_variance(float((z**2).sum()), z.size) for z in found.values()]
    whole = np.concatenate(list(found.values()))
    verdict = unlikely(p_values)
    deviation = float(np.sqrt((whole**2).mean()))
    return Finding(
        verdict.passed, f"{deviation:.4f} σC on {whole.size:,} values, {verdict.figures}"
    )


@check("noise-gaussian", "The noise is Gaussian: what is accounted for is its shape, not its size.")
def noise_gaussian(subject: Subject) -> Finding:
    """Test the noise of all tensors against the normal distribution (Kolmogorov and Smirnov)."""
    whole = np.concatenate(list(noise_of(subject).values()))
    return unlikely([float(kstest(whole[:VALUES], "norm").pvalue)])


@check(
    "noise-fresh",
    "No noise is used twice: not in two steps, rounds or sites, whatever the seed of the study or of the libraries.",
)
def noise_fresh(subject: Subject) -> Finding:
    """Compare the noise of rounds, of two agents with one study, and of the steps within a round."""
    released = [*_rounds(subject, "fresh-a", ROUNDS), *_rounds(subject, "fresh-b", 2)]
    p_values = [_of_correlation(a, b) for a, b in combinations(released, 2)]
    probe = Probe(subject, marks=MARKS)
    samples = probe.with_canaries(probe.real(1), [])
    several = probe.numbers(probe.released(samples, sigma=SIGMA, steps=STEPS)) / SIGMA
    p_values.append(_of_variance(float((several**2).sum()) / STEPS, several.size))
    finding = unlikely(p_values)
    pairs = len(p_values) - 1
    return Finding(finding.passed, f"{pairs} pairs and {STEPS} steps of a round, {finding.figures}")


@check(
    "noise-key",
    "The key of a hospital's noise has no fewer bits than would repeat among thousands of streams.",
)
def noise_key(subject: Subject) -> Finding:
    """Look for two streams that begin alike; a key of 20 bits or fewer shows."""
    randomness = Randomness(None)
    name = subject.site.name
    begun = {
        tuple(randomness.stream(name, "round-1", "noise").normal(2).tolist())
        for _ in range(STREAMS)
    }
    return Finding(len(begun) == STREAMS, f"{STREAMS - len(begun)} of {STREAMS:,} streams repeat")


def _rounds(subject: Subject, name: str, rounds: int) -> list[Floats]:
    """Return what absent canaries' coordinates gain in some rounds of an agent: noise and nothing else."""
    study = observable(
        subject.study,
        learning_rate=subject.plan.divisor / subject.plan.clip_norm,
        rounds=ROUNDS,  # both agents have one study, whatever they are asked
        local_steps=1,
        privacy={"noise_multiplier": SIGMA, "epsilon": None},
        training={"physical_batch": 64},
    )
    agent = subject.agent(name, study, marks=MARKS, real=Probe(subject).real(2))
    space = agent.space
    if not isinstance(space, MarkedWorkspace):
        raise TypeError("The agent has no marks.")
    weights = space.initial
    gained = []
    for round_ in range(1, rounds + 1):
        _reseed_libraries()
        request = Request(study.fingerprint, round_, weights, train=True, evaluate=False)
        answer = agent.handle(request).weights
        gained.append(np.asarray(space.numbers(weights if answer is None else answer), np.float64))
    return gained


def _reseed_libraries() -> None:
    """Whoever draws noise from the libraries' own generators repeats it after this."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _of_variance(squares: float, count: int) -> float:
    """Two-sided chance of a sum of squares of so many standard normals."""
    return float(2 * min(chi2.cdf(squares, count), chi2.sf(squares, count)))


def _of_correlation(a: Floats, b: Floats) -> float:
    """Two-sided chance of so large a correlation between independent normals; 0 where there is no noise at all."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norms == 0:
        return 0.0
    correlation = float(a @ b) / norms
    return float(2 * ndtr(-abs(np.arctanh(min(abs(correlation), 1 - 1e-12))) * np.sqrt(a.size - 3)))
