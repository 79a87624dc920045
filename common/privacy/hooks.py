"""Per-unit clipped gradients from Opacus' per-sample gradients (hooks)."""

from __future__ import annotations

import warnings

import torch
from opacus.grad_sample import GradSampleModule
from opacus.validators import ModuleValidator
from torch import nn

from common.errors import StudyError
from common.privacy.bookkeeping.gradients import Formed
from common.privacy.bookkeeping.sums import widened
from common.privacy.bookkeeping.units import Units
from common.privacy.clipping import Clipping
from common.privacy.engine import (
    Footprint,
    LossPerSample,
    Precision,
    UnitBatch,
    check_per_sample,
    layers_of,
    made_up,
    mixed,
    mixture,
    require_same_sums,
    require_uncoupled,
    unchanging,
)

# Inputs need no gradient here; Opacus' hooks are meant to fire on the outputs' alone.
warnings.filterwarnings("ignore", message="Full backward hook is firing")


class HooksEngine:
    """The reference engine: Opacus' `GradSampleModule`, grouped and clipped by unit.

    A sample's loss is weighted with one over its unit's samples before the backward pass, so that the sum of a
    unit's per-sample gradients is the gradient of the unit's mean loss.
    """

    def __init__(self, network: nn.Module, precision: Precision = "full") -> None:
        _validate(network)
        self.precision = precision
        device = next(network.parameters()).device
        self.module = _replace_recurrent(network).to(device)
        self.sampled = GradSampleModule(self.module, loss_reduction="sum", strict=False)
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.layers = layers_of(self.module)

    def clipped_sum(
        self, batch: UnitBatch, loss: LossPerSample, clipping: Clipping
    ) -> list[torch.Tensor]:
        """See `GradientEngine.clipped_sum`. A unit whose gradient is not finite contributes nothing."""
        self._forget()
        batch = batch.ordered()
        try:
            counts = torch.bincount(batch.unit, minlength=batch.units)
            with mixed(self.precision, batch.inputs.device):
                outputs = self.sampled(batch.inputs)
            losses = loss(outputs.float(), batch.targets)
            check_per_sample(losses, batch.inputs.shape[0])
            (losses / counts[batch.unit]).sum().backward()
            units = Units.of(batch.unit, batch.units)
            by_unit = [Formed(units.sum(widened(p.grad_sample))) for p in self.parameters]  # type: ignore[attr-defined]
        finally:
            self._forget()
        squares = torch.stack([gradient.squares() for gradient in by_unit])
        factors = clipping.factors(squares, self.layers)
        return [g.weighted(f) for f, g in zip(factors, by_unit, strict=True)]

    def footprint(self, example: torch.Tensor) -> Footprint:
        """See `GradientEngine.footprint`; Opacus forms every sample's gradient and keeps two copies for a while.

        Raises:
            StudyError: a weight is used past its layer, or the samples are not the first dimension throughout.
        """
        with unchanging(self.module):
            require_uncoupled(self.module, example)
        with torch.random.fork_rng(devices=[]):
            for rows in (
                2,
                3,
            ):  # a sequence as long as the batch would pass for it once, and not twice
                self._require_samples_first(example, rows)
        held = sum(p.nbytes for p in self.parameters)
        return Footprint(per_sample=2 * held + 8 * example.nbytes, per_unit=held)

    def _require_samples_first(self, example: torch.Tensor, rows: int) -> None:
        """Run made-up samples: Opacus takes any first dimension for the samples'."""
        self._forget()
        try:
            with mixed(self.precision, example.device):
                outputs = self.sampled(made_up(example, rows))
            mixture(outputs.float()).backward()
            names = [name for name, p in self.module.named_parameters() if p.requires_grad]
            found = [p.grad_sample for p in self.parameters]  # type: ignore[attr-defined]
            for name, each in zip(names, found, strict=True):
                _require_rows(name, each, rows)
            require_same_sums(names, found, [p.grad for p in self.parameters], self.precision)
        finally:
            self._forget()

    def _forget(self) -> None:
        """Drop every gradient and activation, also those that an interrupted step left behind."""
        for parameter in self.parameters:
            parameter.grad = None
            parameter.grad_sample = None  # type: ignore[attr-defined]
            parameter._forward_counter = 0  # type: ignore[attr-defined]
            if hasattr(parameter, "_current_grad_sample"):
                del parameter._current_grad_sample
        for layer in self.module.modules():
            for name in ("activations", "max_batch_len"):
                if hasattr(layer, name):
                    delattr(layer, name)


def _require_rows(name: str, each: torch.Tensor | None, rows: int) -> None:
    if each is not None and len(each) != rows:
        raise StudyError(
            f"The layer of '{name}' does not have the samples as its first dimension.",
            where="[model]",
            fix="Put the samples first in every layer (batch_first=True).",
        )


def _validate(network: nn.Module) -> None:
    """Refuse layers that mix the samples of a batch, with Opacus' validator."""
    recurrent = (nn.LSTM, nn.GRU, nn.RNN)
    found = [
        (name, layer)
        for name, layer in network.named_modules()
        if not isinstance(layer, recurrent) and not list(layer.children())
    ]
    for name, layer in found:
        errors = ModuleValidator.validate(layer, strict=False)
        if errors:
            raise StudyError(
                f"Layer '{name}' ({type(layer).__name__}) cannot be trained privately: {errors[0]}",
                where="[model]",
                fix="Use GroupNorm in place of BatchNorm, and layers that treat every sample by itself.",
            )


def _replace_recurrent(network: nn.Module) -> nn.Module:
    """Swap LSTM, GRU and RNN for Opacus' versions; parameter names stay."""
    names = {name for name, _ in network.named_parameters()}
    fixed: nn.Module = ModuleValidator.fix(network)
    if {name for name, _ in fixed.named_parameters()} != names:
        raise StudyError(
            "Opacus' replacement of a recurrent layer changed the names of its weights.",
            where="[model]",
        )
    return fixed
