"""The differentially private step: sample units, clip, sum, add noise, divide by a public constant.

Abadi et al. 2016, "Deep learning with differential privacy", with a patient as the unit: Poisson sampling of patients,
the mean gradient of a patient's samples, one clipping per patient.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from common.privacy.engine import GradientEngine, LossPerSample, UnitBatch
from common.privacy.noise import SecureRandom
from common.privacy.plan import SitePlan


def private_gradient(
    engine: GradientEngine,
    chunks: Iterable[UnitBatch],
    loss: LossPerSample,
    plan: SitePlan,
    noise: SecureRandom,
) -> None:
    """Write the noisy mean gradient of one logical batch into the parameters' `.grad`.

    Args:
        engine: gives the clipped sum of a chunk.
        chunks: the sampled units in pieces that fit the memory; every unit lies in one chunk. May be empty: a step
            that drew nobody releases noise alone.
        loss: per-sample loss.
        plan: C, σ and the public divisor.
        noise: the stream of Gaussian noise.
    """
    parameters = [p for p in engine.module.parameters() if p.requires_grad]
    sums = [torch.zeros_like(p) for p in parameters]
    for chunk in chunks:
        clipped = engine.clipped_sum(chunk, loss, plan.clip_norm)
        for total, part in zip(sums, clipped, strict=True):
            total += part
    add_noise(sums, plan.noise_multiplier * plan.clip_norm, noise)
    for parameter, total in zip(parameters, sums, strict=True):
        parameter.grad = total / plan.divisor


def add_noise(sums: list[torch.Tensor], deviation: float, noise: SecureRandom) -> None:
    """Add N(0, deviation²) to every value, in place; drawn in float64 on the CPU, added in float64."""
    drawn = torch.from_numpy(noise.normal(sum(s.numel() for s in sums)))
    start = 0
    for total in sums:
        part = drawn[start : start + total.numel()].reshape(total.shape)
        start += total.numel()
        total.copy_(total.double() + deviation * part.to(total.device, torch.float64))
