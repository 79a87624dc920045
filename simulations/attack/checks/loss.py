"""Losses and layers that clipping can be defined for."""

from __future__ import annotations

import torch
from torch import nn

from common.errors import StudyError
from common.privacy.clipping import Clipping
from common.privacy.engine import LossPerSample, UnitBatch
from common.privacy.engines import Name, make_engine
from simulations.attack.checks.base import Finding, check
from simulations.attack.probe import Probe
from simulations.attack.subject import Subject

BATCH = 6


@check(
    "per-sample-loss",
    "The loss has one value per sample, whatever the rest of the batch; any other shape is refused.",
)
def per_sample_loss(subject: Subject) -> Finding:
    """Try the study's own loss, and show the engine losses of other shapes."""
    probe = Probe(subject)
    samples = probe.real(BATCH, most=1)
    network = probe.space.fresh_network(probe.start)
    outputs = network(samples.inputs).detach().float()
    losses = probe.space.task.loss(outputs, samples.targets)
    if losses.shape != (samples.units,):
        return Finding(False, f"the study's loss has shape {list(losses.shape)}")
    alone = [
        probe.space.task.loss(outputs[i : i + 1], samples.targets[i : i + 1])
        for i in range(samples.units)
    ]
    off = float((losses - torch.cat(alone)).abs().max())
    unit = torch.arange(samples.units, device=samples.inputs.device)
    batch = UnitBatch(samples.inputs, samples.targets, unit, samples.units)
    accepted = [name for name, bad in _bad(probe.space.task.loss) if _accepts(probe, batch, bad)]
    return Finding(
        off <= 1e-4 and not accepted,
        f"a sample's loss moves by {off:.1e} with its batch; "
        + (f"accepted: {', '.join(accepted)}" if accepted else "[B, 1] and a mean are refused"),
    )


def _bad(loss: LossPerSample) -> list[tuple[str, LossPerSample]]:
    return [
        ("[B, 1]", lambda outputs, targets: loss(outputs, targets)[:, None]),
        ("a mean", lambda outputs, targets: loss(outputs, targets).mean()),
    ]


def _accepts(probe: Probe, batch: UnitBatch, loss: LossPerSample) -> bool:
    study = probe.space.study
    network = probe.space.fresh_network(probe.start)
    engine = make_engine(study.privacy.engine, network, study.training.precision)
    try:
        engine.clipped_sum(batch, loss, Clipping(probe.plan.clip_norm))
    except StudyError:
        return False
    return True


@check(
    "no-batch-layers",
    "A layer that mixes the samples of a batch, such as BatchNorm, is refused by every engine.",
)
def no_batch_layers(subject: Subject) -> Finding:
    """Show the engines networks that they must not take."""
    del subject
    mixing = {
        "BatchNorm1d": nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)),
        "BatchNorm2d": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten()),
    }
    taken = []
    engines: tuple[Name, ...] = ("bookkeeping", "hooks")
    for engine in engines:
        for name, network in mixing.items():
            try:
                make_engine(engine, network)
                taken.append(f"{name} by {engine}")
            except StudyError:
                continue
    return Finding(not taken, f"accepted: {', '.join(taken)}" if taken else "refused by both")
