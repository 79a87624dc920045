"""Steps of the real trainer, seen from outside: what went in, and the sum that came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from client.training import private
from client.training.batches import Samples
from client.training.workspace import Progress, Silent, Workspace
from common.lazy import lazy
from common.privacy.noise import SecureRandom
from common.privacy.plan import SitePlan
from common.study import Choice
from common.weights import Vector
from simulations.attack.canaries import MarkedWorkspace, marked, subset
from simulations.attack.subject import Subject, observable

Floats = npt.NDArray[np.float64]

GAIN = 1000.0
"""A step of 1,000 C leaves no doubt in float32 about what was added to weights of about 1."""
SMALL_PIECES = 3
"""Samples in one piece, so that a step of a few units has several."""


@dataclass(frozen=True)
class Probe:
    """The trainer of a study.

    Attributes:
        subject: the study at its hospital.
        marks: coordinates for canaries.
        pieces: samples that are held in memory at once.
        algorithm: the federated algorithm; default: averaging.
        decay: weight decay.
    """

    subject: Subject
    marks: int = 0
    pieces: int = SMALL_PIECES
    algorithm: Choice | None = None
    decay: float = 0.0

    @property
    def plan(self) -> SitePlan:
        """The study's plan at the hospital."""
        return self.subject.plan

    @property
    def rate(self) -> float:
        """The learning rate: a released sum of C moves the weights by `GAIN`."""
        return self.plan.divisor * GAIN / self.plan.clip_norm

    @lazy
    def space(self) -> Workspace:
        """The study made ready, with images left as they are: what is random is compared elsewhere."""
        study = observable(
            self.subject.study,
            learning_rate=self.rate,
            local_steps=1,
            training={"physical_batch": self.pieces, "augment": (), "weight_decay": self.decay},
            algorithm=self.algorithm,
        )
        device = self.subject.device
        return (
            MarkedWorkspace(study, device, self.marks) if self.marks else Workspace(study, device)
        )

    @lazy
    def start(self) -> Vector:
        """The study's initial weights."""
        return self.space.initial

    def real(self, count: int, most: int | None = None) -> Samples:
        """Return some of the hospital's patients, at most K samples of each unless `most` says otherwise."""
        kept = most or self.subject.study.privacy.samples_per_patient
        return subset(self.subject.samples, range(min(count, self.subject.samples.units)), kept)

    def with_canaries(self, real: Samples, units: Sequence[Sequence[int]]) -> Samples:
        """Return patients and canaries."""
        return marked(real, units)

    def moved(
        self,
        samples: Samples,
        *,
        sigma: float = 0.0,
        rate: Fraction = Fraction(1),
        steps: int = 1,
        sampling: SecureRandom | None = None,
        noise: SecureRandom | None = None,
        progress: Progress | None = None,
    ) -> Vector:
        """Return the weights after training, from the initial ones.

        Args:
            samples: who is there.
            sigma: σ; 0 switches the noise off, in the plan.
            rate: q.
            steps: noisy steps.
            sampling, noise: streams; default: the operating system's.
            progress: hears about the steps.
        """
        plan = replace(self.plan, noise_multiplier=sigma, sampling_rate=rate, steps_per_round=steps)
        return private.train_private(
            self.space,
            self.start,
            samples,
            plan,
            sampling or SecureRandom.system(),
            noise or SecureRandom.system(),
            progress or Silent(),
        )

    def released(self, samples: Samples, **keys: object) -> Floats:
        """Return the sum of the steps' noisy gradients in units of C, as `moved` gives it away."""
        after = self.moved(samples, **keys)  # type: ignore[arg-type]
        return (self.start.astype(np.float64) - after) / GAIN

    def numbers(self, released: Floats) -> Floats:
        """Return what the canaries' coordinates gained, in units of C, `[marks]`."""
        space = self.space
        if not isinstance(space, MarkedWorkspace):
            return np.zeros(0)
        return -np.asarray(space.numbers(released), dtype=np.float64)  # type: ignore[arg-type]

    @property
    def whole(self) -> float:
        """What the clipping leaves of a canary whose gradient is far too long, in units of C."""
        if self.plan.clip_style == "per-layer":
            layers = {name.rpartition(".")[0] for name, _ in self.space.template.named_parameters()}
            return float(1 / np.sqrt(len(layers)))
        if self.plan.clip_style == "automatic":
            length = 100 * max(1.0, self.plan.clip_norm)
            return length / (length + 0.01)
        return 1.0
