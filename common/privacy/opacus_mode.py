"""The book-keeping engine as a grad-sample mode of Opacus, for code that is written against Opacus.

    engine = BookkeepingPrivacyEngine()
    model, optimizer, loader = engine.make_private(
        module=model, optimizer=optimizer, data_loader=loader,
        noise_multiplier=1.0, max_grad_norm=1.0, grad_sample_mode="bookkeeping",
    )

Opacus clips samples, and not patients, and divides by a number that follows from the size of the data; Consilium's own
training uses the engine without it.
"""

from __future__ import annotations

from typing import Any

import torch
from opacus import PrivacyEngine
from opacus.grad_sample import AbstractGradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from common.errors import StudyError
from common.privacy.bookkeeping.layers import watch
from common.privacy.bookkeeping.tape import Gradients, Tape
from common.privacy.bookkeeping.units import Units

MODE = "bookkeeping"


class _SampleTape(Tape):
    """Writes every sample's gradient to its parameter, where Opacus' optimiser looks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = 1.0

    def deliver(self, layer: nn.Module, gradients: Gradients) -> None:
        """See `Tape.deliver`: a second use in one pass adds, a second pass lengthens the list."""
        super().deliver(layer, gradients)
        for name, gradient in gradients.items():
            parameter: Any = layer.get_parameter(name)
            if parameter.requires_grad:
                once = len(self.found[parameter]) == 1
                parameter.grad_sample = _joined(
                    parameter.grad_sample, gradient.formed() * self.scale, once
                )


def _joined(before: Any, found: torch.Tensor, once: bool) -> Any:
    if before is None:
        return found
    if isinstance(before, list):
        return [*before, found] if once else [*before[:-1], before[-1] + found]
    return [before, found] if once else before + found


class GradSampleModuleBookkeeping(AbstractGradSampleModule):  # type: ignore[misc]
    """A network whose backward pass leaves every sample's gradient in `grad_sample`.

    Args:
        module: the network.
        batch_first: must be true.
        loss_reduction: "mean" or "sum", as the loss is taken over the batch.
        strict: accepted for likeness with Opacus' own; what cannot be done is always refused.

    Raises:
        StudyError: a layer cannot be trained privately; named, with the fix.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        batch_first: bool = True,
        loss_reduction: str = "mean",
        strict: bool = True,
    ) -> None:
        if not batch_first:
            raise StudyError(
                "The book-keeping mode needs the samples as the first dimension.",
                fix="Use batch_first=True.",
            )
        super().__init__(module, batch_first=batch_first, loss_reduction=loss_reduction)
        self.tape = _SampleTape()
        self.undo = watch(self.tape, module)

    def forward(self, inputs: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """Run the network and record it, where gradients are wanted."""
        self.tape.clear()
        if torch.is_grad_enabled() and self.training:
            self.tape.start(Units.single(len(inputs), inputs.device))
            self.tape.scale = float(len(inputs)) if self.loss_reduction == "mean" else 1.0
        return self._module(inputs, *args, **kwargs)

    def remove_hooks(self) -> None:
        """Leave the network as it was found."""
        while self.undo:
            self.undo.pop()()
        self.tape.clear()


class BookkeepingPrivacyEngine(PrivacyEngine):  # type: ignore[misc]
    """Opacus' `PrivacyEngine` with `grad_sample_mode="bookkeeping"` beside its own modes."""

    def _prepare_model(
        self,
        module: nn.Module,
        *,
        grad_sample_mode: str = "hooks",
        **options: Any,
    ) -> Any:
        if grad_sample_mode != MODE:
            return super()._prepare_model(module, grad_sample_mode=grad_sample_mode, **options)
        wanted = {
            name: options[name] for name in ("batch_first", "loss_reduction") if name in options
        }
        if not options.get("wrap_model", True):
            raise StudyError(
                "The book-keeping mode wraps the network.", fix="Leave wrap_model at True."
            )
        if isinstance(module, GradSampleModuleBookkeeping):
            return module
        return GradSampleModuleBookkeeping(module, **wanted)

    def _prepare_optimizer(self, *, grad_sample_mode: str = "hooks", **options: Any) -> DPOptimizer:
        """Opacus' optimiser for formed gradients is the one that is wanted."""
        mode = "hooks" if grad_sample_mode == MODE else grad_sample_mode
        return super()._prepare_optimizer(grad_sample_mode=mode, **options)
