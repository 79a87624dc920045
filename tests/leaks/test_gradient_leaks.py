"""Planted leaks between a patient's images and the clipped sum; each is caught by a check that ships."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from client.training import batches, private
from client.training.workspace import Workspace
from common import fit
from common.algorithms.fedprox import FedProx
from common.errors import StudyError
from common.privacy import hooks, step
from common.privacy.bookkeeping import engine as bookkeeping
from common.privacy.clipping import Clipping
from common.privacy.engine import LossPerSample, UnitBatch
from common.privacy.plan import SitePlan
from common.tasks.classification import Classification
from simulations.attack.checks import Finding
from simulations.attack.subject import Subject

Check = Callable[[str, Subject], Finding]
ENGINES = (bookkeeping.BookkeepingEngine, hooks.HooksEngine)

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")


def wrap_engines(patch: pytest.MonkeyPatch, wrapper: Callable[..., list[torch.Tensor]]) -> None:
    """Replace `clipped_sum` of both engines by `wrapper(original, engine, batch, loss, clipping)`."""
    for kind in ENGINES:
        original = kind.clipped_sum

        def changed(
            self: Any,
            batch: UnitBatch,
            loss: LossPerSample,
            clipping: Clipping,
            original: Any = original,
        ) -> list[torch.Tensor]:
            return wrapper(original, self, batch, loss, clipping)

        patch.setattr(kind, "clipped_sum", changed)


def test_no_clipping(subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clipping, "factors", lambda self, squares, layers: torch.ones_like(squares))
    assert not check("sensitivity", subject).passed


def test_a_clipping_that_forgets_the_biases(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Clipping.factors

    def forgetful(self: Clipping, squares: torch.Tensor, layers: Any) -> torch.Tensor:
        seen = squares.clone()
        seen[1::2] = 0
        return honest(self, seen, layers)

    monkeypatch.setattr(Clipping, "factors", forgetful)
    assert not check("sensitivity", subject).passed


def test_a_patient_whose_gradient_is_not_finite(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unguarded(self: Clipping, squares: torch.Tensor, layers: Any) -> torch.Tensor:
        return (self.norm / squares.sum(0).sqrt()).clamp(max=1.0).expand_as(squares)

    monkeypatch.setattr(Clipping, "factors", unguarded)
    for module in (hooks.torch, bookkeeping.torch):
        monkeypatch.setattr(module, "nan_to_num", lambda values, *_: values)
    assert not check("sensitivity", subject).passed


def test_a_bound_twice_as_large_as_is_charged(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        SitePlan, "clipping", property(lambda self: Clipping(2 * self.clip_norm, self.clip_style))
    )
    assert not check("mean-then-clip", subject).passed
    assert not check("whole-units", subject).passed


def test_clipping_per_image(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def per_image(
        original: Any, engine: Any, batch: UnitBatch, loss: LossPerSample, clipping: Clipping
    ) -> list[torch.Tensor]:
        count = len(batch.inputs)
        images = replace(batch, unit=torch.arange(count), units=count)
        return original(engine, images, loss, clipping)  # type: ignore[no-any-return]

    wrap_engines(monkeypatch, per_image)
    assert not check("mean-then-clip", subject).passed
    assert not check("sensitivity", subject).passed


def test_clipping_before_the_mean(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clipped_images_averaged(
        original: Any, engine: Any, batch: UnitBatch, loss: LossPerSample, clipping: Clipping
    ) -> list[torch.Tensor]:
        counts = torch.bincount(batch.unit)[batch.unit]
        total = [torch.zeros_like(p) for p in engine.module.parameters()]
        for i in range(len(batch.inputs)):
            image = UnitBatch(
                batch.inputs[i : i + 1], batch.targets[i : i + 1], torch.zeros(1).long(), 1
            )
            for part, g in zip(total, original(engine, image, loss, clipping), strict=True):
                part += g / counts[i]
        return total

    wrap_engines(monkeypatch, clipped_images_averaged)
    assert not check("mean-then-clip", subject).passed


def test_a_patient_split_over_pieces(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def by_samples(rows: list[Any], limit: int) -> Iterator[list[Any]]:
        for unit in rows:
            for start in range(0, len(unit), limit):
                yield [unit[start : start + limit]]

    monkeypatch.setattr(batches, "_pieces", by_samples)
    assert not check("whole-units", subject).passed


def test_every_sample_of_a_patient_is_used(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_of_them(self: batches.UnitSampler, unit: int) -> batches.Index:
        offsets = self.samples.offsets
        return batches.np.arange(offsets[unit], offsets[unit + 1])

    monkeypatch.setattr(batches.UnitSampler, "_rows", all_of_them)
    assert not check("samples-per-patient", one_subject).passed


def test_a_loss_of_another_shape_is_taken(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (bookkeeping, hooks):
        monkeypatch.setattr(module, "check_per_sample", lambda losses, batch: None)
    assert not check("per-sample-loss", subject).passed


def test_a_task_with_a_loss_of_another_shape_is_refused(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Classification.loss
    monkeypatch.setattr(
        Classification,
        "loss",
        lambda self, outputs, targets: honest(self, outputs, targets)[:, None],
    )
    with pytest.raises(StudyError, match="one value per sample"):
        check("sensitivity", subject)
    assert not check("per-sample-loss", subject).passed


def test_a_loss_that_couples_the_batch(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weighted_by_class(
        self: Classification, outputs: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        losses = nn.functional.cross_entropy(outputs, targets, reduction="none")
        return losses / torch.bincount(targets, minlength=2)[targets]

    monkeypatch.setattr(Classification, "loss", weighted_by_class)
    assert not check("no-batch-coupling", subject).passed
    assert not check("per-sample-loss", subject).passed


class WithBatchNorm(nn.Module):
    """The study's network with BatchNorm in front."""

    def __init__(self, network: nn.Module, features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features, track_running_stats=False)
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        normed = self.norm(inputs.flatten(1)).reshape(inputs.shape)
        return self.network(normed)  # type: ignore[no-any-return]


def test_batch_norm_is_refused(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = fit.build_model
    monkeypatch.setattr(
        fit, "build_model", lambda study, outputs: WithBatchNorm(honest(study, outputs), 36)
    )
    with pytest.raises(StudyError, match=r"[Bb]atch"):
        check("sensitivity", subject)


def test_engines_take_batch_norm(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "_validate", lambda network: None)
    assert not check("no-batch-layers", one_subject).passed


class RunningMean(nn.Module):
    """A network that remembers the mean of what it has seen, past all clipping and noise."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen = 0.9 * self.seen + 0.1 * inputs.detach().mean()
        return self.network(inputs)  # type: ignore[no-any-return]


def test_state_that_takes_data_along(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = fit.build_model
    monkeypatch.setattr(
        fit, "build_model", lambda study, outputs: RunningMean(honest(study, outputs))
    )
    assert not check("nothing-else-released", one_subject).passed


def test_a_divisor_from_the_drawn_batch(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = step.private_gradient

    def by_count(engine: Any, chunks: Any, loss: Any, plan: Any, noise: Any) -> None:
        pieces = list(chunks)
        drawn = max(1, sum(piece.units for piece in pieces))
        honest(engine, pieces, loss, replace(plan, divisor=float(drawn)), noise)

    monkeypatch.setattr(private, "private_gradient", by_count)
    assert not check("public-divisor", subject).passed


def test_a_plan_from_the_private_number_of_patients(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    from client.agent import Agent

    monkeypatch.setattr(
        Agent, "declared_patients", property(lambda self: self.cohort.patients), raising=True
    )
    assert not check("public-divisor", one_subject).passed


def test_a_sum_that_survives_an_interruption(
    subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[torch.Tensor] = []

    def stale(engine: Any, chunks: Any, loss: Any, plan: Any, noise: Any) -> None:
        parameters = [p for p in engine.module.parameters() if p.requires_grad]
        if not left:
            left.extend(torch.zeros_like(p) for p in parameters)
        for chunk in chunks:
            for total, part in zip(
                left, engine.clipped_sum(chunk, loss, plan.clipping), strict=True
            ):
                total += part
        step.add_noise(left, plan.noise_multiplier * plan.clip_norm, noise)
        for parameter, total in zip(parameters, left, strict=True):
            parameter.grad = total / plan.divisor
        left.clear()

    monkeypatch.setattr(step, "private_gradient", stale)
    assert not check("interrupted-step", subject).passed
    left.clear()
    monkeypatch.setattr(private, "private_gradient", stale)
    assert not check("interrupted-step", subject).passed


def test_a_proximal_term_inside_the_clipped_loss(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = private.private_gradient

    def penalised(engine: Any, chunks: Any, loss: Any, plan: Any, noise: Any) -> None:
        start = [p.detach().clone() for p in engine.module.parameters()]

        def with_penalty(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            pairs = zip(engine.module.parameters(), start, strict=True)
            distance = sum(((p - s) ** 2).sum() for p, s in pairs)
            return loss(outputs, targets) + distance / 2  # type: ignore[no-any-return]

        honest(engine, chunks, with_penalty, plan, noise)

    monkeypatch.setattr(private, "private_gradient", penalised)
    monkeypatch.setattr(FedProx, "after_step", lambda self, parameters, anchor, rate: None)
    assert not check("local-terms-after-noise", one_subject).passed


def test_weight_decay_before_the_noise(
    one_subject: Subject, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    decayed = Workspace.fresh_network

    def shrunk(self: Workspace, weights: Any) -> nn.Module:
        keep = 1 - self.study.training.learning_rate * self.study.training.weight_decay
        network = decayed(self, weights)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(keep)
        object.__setattr__(self.study.training, "weight_decay", 0.0)
        return network

    monkeypatch.setattr(Workspace, "fresh_network", shrunk)
    assert not check("local-terms-after-noise", one_subject).passed
