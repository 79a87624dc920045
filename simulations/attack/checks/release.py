"""What leaves a step: a noisy sum over a public number, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import numpy as np
import torch
from scipy.stats import chi2

from client.data.cohort import Cohort
from client.training.batches import Samples, UnitSampler
from common.errors import Interrupted
from common.privacy import step
from common.privacy.engine import UnitBatch
from common.privacy.engines import make_engine
from common.privacy.noise import SecureRandom
from common.study import Choice
from common.tasks.base import Task
from simulations.attack.checks.base import Finding, check, tolerance, unlikely
from simulations.attack.probe import Probe
from simulations.attack.subject import Subject

SIGMA = 2.0
SHARE = 0.25


@check(
    "public-divisor",
    "The noisy sum is divided by a public number: not by how many were drawn, nor by how many there are.",
)
def public_divisor(subject: Subject) -> Finding:
    """Look at one canary among cohorts of different sizes, and at the plans of two cohorts declared alike."""
    probe = Probe(subject, marks=1)
    gained = []
    for count in (0, 2, 10):
        samples = probe.with_canaries(probe.real(count), [[1]])
        gained.append(float(probe.numbers(probe.released(samples))[0]) / probe.whole)
    whole, half = subject.agent("divisor-a", subject.study), subject.agent("b", subject.study)
    half.__dict__["cohort"] = _halved(subject.cohort)
    same = whole.plan == half.plan
    off = float(np.max(np.abs(np.array(gained) - 1)))
    said = "the same plan" if same else "another plan"
    return Finding(
        same and off <= tolerance(subject),
        f"one patient counts {', '.join(f'{v:.4f}' for v in gained)} among 0, 2 and 10 others; half the cohort: {said}",
    )


def _halved(cohort: Cohort) -> Cohort:
    patients = max(2, cohort.patients // 2)
    rows = cohort.patient < patients
    return replace(
        cohort,
        inputs=cohort.inputs[rows],
        targets=cohort.targets[rows],
        patient=cohort.patient[rows],
        is_test=cohort.is_test[:patients],
    )


@check("empty-step", "A step that drew nobody releases noise like any other, and takes place.")
def empty_step(subject: Subject) -> Finding:
    """Sample with next to no chance."""
    probe, nobody = Probe(subject, marks=100), Fraction(1, 10**15)
    samples = probe.with_canaries(probe.real(2), [[1]])
    quiet = float(np.abs(probe.released(samples, rate=nobody)).max())
    noisy = probe.numbers(probe.released(samples, rate=nobody, sigma=SIGMA)) / SIGMA
    squares = float((noisy**2).sum())
    finding = unlikely(
        [2 * float(min(chi2.cdf(squares, noisy.size), chi2.sf(squares, noisy.size)))]
    )
    return Finding(
        finding.passed and quiet == 0.0,
        f"{quiet:.1e} C without noise, {np.sqrt((noisy**2).mean()):.3f} σC with it, {finding.figures}",
    )


class _Stopping:
    """A task that is interrupted in the second piece of a step."""

    def __init__(self, task: Task) -> None:
        self.inner, self.pieces = task, 0

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.pieces += 1
        if self.pieces == 2:
            raise Interrupted("The check stops the step here.")
        return self.inner.loss(outputs, targets)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@check(
    "interrupted-step",
    "A step that was interrupted between two pieces leaves nothing behind for the next one to release.",
)
def interrupted_step(subject: Subject) -> Finding:
    """Interrupt the trainer, and an engine that lives on; then take the step anew."""
    probe = Probe(subject)
    samples = probe.real(8)
    clean = probe.released(samples)
    task = probe.space.task
    probe.space.__dict__["task"] = cast(Task, _Stopping(task))
    stopped = False
    try:
        probe.released(samples)
    except Interrupted:
        stopped = True
    probe.space.__dict__["task"] = task
    off = float(np.linalg.norm(probe.released(samples) - clean))
    engine_off = _engine_interrupted(probe, samples)
    close = tolerance(subject)
    return Finding(
        stopped and off <= close and engine_off <= close,
        f"the trainer's next step is off by {off:.1e} C, the engine's by {engine_off:.1e} C",
    )


def _engine_interrupted(probe: Probe, samples: Samples) -> float:
    """Return by how much an engine's sum after an interruption differs from a new engine's, in units of C."""
    study = probe.space.study
    plan = replace(probe.plan, noise_multiplier=0.0)
    sampler = UnitSampler(
        samples, Fraction(1), 10**6, probe.pieces, augmentations=(), random=SecureRandom.system()
    )
    chunks = list(sampler.draw())

    def gradient(interrupted: bool) -> torch.Tensor:
        network = probe.space.fresh_network(probe.start).train()
        engine = make_engine(study.privacy.engine, network, study.training.precision)
        if interrupted:
            with suppress(Interrupted):
                step.private_gradient(
                    engine, _cut(chunks), probe.space.task.loss, plan, SecureRandom.system()
                )
        step.private_gradient(engine, chunks, probe.space.task.loss, plan, SecureRandom.system())
        held = [p.grad for p in engine.module.parameters() if p.grad is not None]
        return torch.cat([grad.flatten() for grad in held]).double()

    return float((gradient(True) - gradient(False)).norm()) * plan.divisor / plan.clip_norm


def _cut(chunks: list[UnitBatch]) -> Iterator[UnitBatch]:
    yield chunks[0]
    raise Interrupted("The check stops the step here.")


@check(
    "local-terms-after-noise",
    "Proximal terms and weight decay act on the noised weights; inside the clipped loss they would be clipped away.",
)
def local_terms_after_noise(subject: Subject) -> Finding:
    """Take one noisy step with and without them: what they do must be exactly what they say."""
    plain = Probe(subject)
    samples, rate = plain.real(4), plain.rate
    proximal = Probe(
        subject, algorithm=Choice.model_validate({"name": "fedprox", "proximal_mu": SHARE / rate})
    )
    decayed = Probe(subject, decay=SHARE / rate)
    after = [
        p.moved(samples, sigma=SIGMA, noise=SecureRandom.fixed(5)).astype(np.float64)
        for p in (plain, proximal, decayed)
    ]
    start = plain.start
    size = float(np.linalg.norm(after[0] - start))
    pulled = np.linalg.norm(after[1] - (start + (1 - SHARE) * (after[0] - start))) / size
    shrunk = np.linalg.norm(after[2] - (1 - SHARE) * after[0]) / size
    return Finding(
        bool(np.max([pulled, shrunk]) <= 1e-3),
        f"off by {pulled:.1e} (proximal) and {shrunk:.1e} (decay) of a step",
    )


@check(
    "nothing-else-released",
    "Only trained weights change in training: no running mean or other state takes patients' data along.",
)
def nothing_else_released(subject: Subject) -> Finding:
    """Compare what is not trained before and after a step."""
    probe = Probe(subject)
    after = probe.moved(probe.real(4), sigma=SIGMA)
    trained = {n for n, p in probe.space.template.named_parameters() if p.requires_grad}
    moved, start = [], 0
    for name, shape in probe.space.layout.entries:
        stop = start + int(np.prod(shape))
        if name not in trained and not np.array_equal(after[start:stop], probe.start[start:stop]):
            moved.append(name)
        start = stop
    return Finding(not moved, f"changed: {', '.join(moved)}" if moved else "only trained weights")
