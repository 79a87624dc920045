"""One patient more or less: by how much does the clipped sum change?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from client.training.batches import Samples
from client.training.workspace import Workspace
from simulations.attack.canaries import subset
from simulations.attack.checks.base import Finding, check, tolerance
from simulations.attack.probe import Floats, Probe
from simulations.attack.subject import Subject

OTHERS = 5
PATIENTS = 6
MANY = 40


@check(
    "sensitivity",
    "Adding or removing a patient changes the sum of clipped gradients by at most C, and by exactly that patient's "
    "clipped mean gradient.",
)
def sensitivity(subject: Subject) -> Finding:
    """Compare sums with and without real patients and made-up ones, noise off."""
    probe = Probe(subject)
    others = probe.real(OTHERS)
    base = probe.released(others)
    changes = [base - probe.released(subset(others, range(1, others.units)))]
    apart = [0.0]
    for patient in _patients(probe):
        change = probe.released(_joined(others, patient)) - base
        changes.append(change)
        expected = _clipped_mean(probe, patient)
        if expected is not None:
            apart.append(float(np.linalg.norm(change - expected)))
    longest = float(np.max([np.linalg.norm(change) for change in changes]))
    furthest = float(np.max(apart))  # NaN stays NaN and fails
    close = tolerance(subject)
    return Finding(
        longest <= 1 + close and furthest <= 2 * close,
        f"largest change {longest:.4f} C, at most {furthest:.1e} C from what was computed directly",
    )


def _patients(probe: Probe) -> list[Samples]:
    """Real patients, and ones that nobody has: of many images, of one image many times, of absurd values."""
    pool = probe.real(OTHERS + PATIENTS)
    real = [subset(pool, [u]) for u in range(max(0, pool.units - PATIENTS), pool.units)]
    first = subset(real[0], [0], 1)
    one = replace(first, offsets=np.array([0, 1]))
    many = _repeated(one, MANY)
    absurd = [replace(one, inputs=one.inputs * factor) for factor in (1e4, 1e30, float("inf"))]
    return [*real, many, *absurd]


def _repeated(one: Samples, times: int) -> Samples:
    return Samples(
        one.inputs.repeat(times, *[1] * (one.inputs.ndim - 1)),
        one.targets.repeat(times, *[1] * (one.targets.ndim - 1)),
        np.array([0, times]),
    )


def _joined(first: Samples, second: Samples) -> Samples:
    return Samples(
        torch.cat([first.inputs, second.inputs]),
        torch.cat([first.targets, second.targets]),
        np.concatenate([first.offsets, first.offsets[-1] + second.offsets[1:]]),
    )


def _clipped_mean(probe: Probe, patient: Samples) -> Floats | None:
    """Compute a patient's contribution, in units of C, with PyTorch alone; None where other rules of clipping hold."""
    if probe.plan.clip_style != "flat":
        return None
    space: Workspace = probe.space
    network = space.fresh_network(probe.start).train()
    losses = space.task.loss(network(patient.inputs).float(), patient.targets)
    names = [n for n, p in network.named_parameters() if p.requires_grad]
    wanted = [p for p in network.parameters() if p.requires_grad]
    found = torch.autograd.grad(losses.mean(), wanted, allow_unused=True)
    by_name = dict(zip(names, found, strict=True))
    parts = [_flat(by_name.get(name), shape) for name, shape in space.layout.entries]
    gradient = np.concatenate(parts) / probe.plan.clip_norm
    norm = float(np.linalg.norm(gradient))
    if not np.isfinite(norm):
        return np.zeros_like(gradient)
    return np.asarray(gradient * min(1.0, 1 / norm if norm else 1.0))


def _flat(gradient: torch.Tensor | None, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    if gradient is None:
        return np.zeros(int(np.prod(shape)))
    return gradient.detach().double().cpu().numpy().reshape(-1)
