"""The differentially private step: sample units, clip, sum, add noise, divide by a public constant.

Abadi et al. 2016, "Deep learning with differential privacy", with a patient as the unit: Poisson sampling of patients,
the mean gradient of a patient's samples, one clipping per patient.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from common.errors import MachineError
from common.privacy.clipping import Clipping
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
    sums: list[torch.Tensor] | None = None
    for chunk in chunks:
        clipped = _clipped_sum(engine, chunk, loss, plan.clipping)
        sums = clipped if sums is None else [a.add_(b) for a, b in zip(sums, clipped, strict=True)]
    if sums is None:
        sums = [torch.zeros_like(p) for p in parameters]
    sums = [total.contiguous() for total in sums]
    add_noise(sums, plan.noise_multiplier * plan.clip_norm, noise)
    for parameter, total in zip(parameters, sums, strict=True):
        parameter.grad = total.div_(plan.divisor)


def _clipped_sum(
    engine: GradientEngine, chunk: UnitBatch, loss: LossPerSample, clipping: Clipping
) -> list[torch.Tensor]:
    """Return a chunk's sum; where the memory runs out, in halves that keep units whole.

    Raises:
        MachineError: one unit alone does not fit.
    """
    try:
        return engine.clipped_sum(chunk, loss, clipping)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    if chunk.units == 1:
        raise MachineError(
            "The gradient of a single unit does not fit into the memory.",
            where="[compute] device",
            fix="Lower [privacy] samples_per_patient or [training] views, or use a smaller network.",
        )
    halves = [_clipped_sum(engine, half, loss, clipping) for half in chunk.halves()]
    return [one + other for one, other in zip(*halves, strict=True)]


def out_of_memory(error: RuntimeError) -> bool:
    """Whether PyTorch could not allocate what it wanted."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


GRID = 2.0**-20
"""Releases are multiples of about this share of the noise's deviation."""


def add_noise(sums: list[torch.Tensor], deviation: float, noise: SecureRandom) -> None:
    """Add N(0, deviation²) to every value, in place; drawn in float64 on the CPU, added in float64.

    The sum is rounded to a grid, a power of two, before it becomes float32: the floating-point numbers that a Gaussian
    can take leave holes which tell what it was added to (Mironov 2012, "On significance of the least significant bits
    for differential privacy"; Jin et al. 2022, arXiv 2112.05307). A cell of the grid is some 2³⁰ of them wide.
    """
    grid = 2.0 ** math.floor(math.log2(deviation * GRID)) if deviation > 0 else 0.0
    drawn = torch.from_numpy(noise.normal(sum(s.numel() for s in sums)))
    start = 0
    for total in sums:
        part = drawn[start : start + total.numel()].to(total.device)
        start += total.numel()
        # Block by block on a CPU: what one operation wrote is in the cache for the next.
        size = _BLOCK if part.device.type == "cpu" else max(1, part.numel())
        for values, block in zip(total.view(-1).split(size), part.split(size), strict=True):
            block.mul_(deviation).add_(values)
            if grid:
                block.mul_(1 / grid).round_().mul_(grid)
            values.copy_(block)


_BLOCK = 1 << 15
