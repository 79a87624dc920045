"""The engine: one forward pass, one backward pass, every unit's clipped gradient in the sum."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from common.memory_format import channels_last, laid_out
from common.privacy.bookkeeping.gradients import Measured, added
from common.privacy.bookkeeping.layers import watch
from common.privacy.bookkeeping.sums import widened
from common.privacy.bookkeeping.tape import Tape
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


class BookkeepingEngine:
    """Gradients by book-keeping; the network's own weights, names and structure stay as they are.

    Args:
        network: every layer of it treats each sample by itself.
        precision: "mixed" runs the passes in bfloat16 and the gradients of weights in float32.

    Raises:
        StudyError: a layer cannot be trained privately; named, with the fix.
    """

    def __init__(self, network: nn.Module, precision: Precision = "full") -> None:
        self.module = channels_last(network)
        self.precision = precision
        self.tape = Tape()
        self.undo = watch(self.tape, network)
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.names = [name for name, p in network.named_parameters() if p.requires_grad]
        self.layers = layers_of(network)

    def clipped_sum(
        self, batch: UnitBatch, loss: LossPerSample, clipping: Clipping
    ) -> list[torch.Tensor]:
        """See `GradientEngine.clipped_sum`. A unit whose gradient is not finite contributes nothing."""
        batch = batch.ordered()
        units = Units.of(batch.unit, batch.units)
        counts = torch.bincount(batch.unit, minlength=batch.units)
        try:
            self.tape.start(units)
            losses = loss(self._run(batch.inputs), batch.targets)
            check_per_sample(losses, len(batch.inputs))
            self._backward((losses / counts[batch.unit]).sum())
            found = self._found()
        finally:
            self.tape.clear()
        return self._combined(found, clipping, batch.units)

    def footprint(self, example: torch.Tensor) -> Footprint:
        """See `GradientEngine.footprint`; checks the network on made-up samples on the way.

        Raises:
            StudyError: a weight is used where no rule sees it, or the samples are not the first dimension throughout.
        """
        with unchanging(self.module):
            require_uncoupled(self._run, example)
            self._recorded(example, 2)
            found, read = self._recorded(example, 3)  # what has the batch first has it for both
            samples = made_up(example, 3)
            truth = torch.autograd.grad(
                mixture(self._run(samples)), self.parameters, allow_unused=True
            )
        formed = [None if each is None else each.gradient.formed() for each in found]
        require_same_sums(self.names, formed, truth, self.precision)
        held = sum(each.gradient.nbytes for each in found if each is not None)
        return Footprint(per_sample=read // 3, per_unit=held // 3)

    def _recorded(self, example: torch.Tensor, rows: int) -> tuple[list[Measured | None], int]:
        """Return every made-up sample's gradients, and the bytes that layers kept."""
        samples = made_up(example, rows)
        try:
            self.tape.start(Units.single(rows, samples.device))
            self._backward(mixture(self._run(samples)))
            return self._found(), self.tape.read_bytes
        finally:
            self.tape.clear()

    def release(self) -> None:
        """Leave the network as it was found."""
        while self.undo:
            self.undo.pop()()

    def _run(self, inputs: torch.Tensor) -> torch.Tensor:
        with mixed(self.precision, inputs.device):
            outputs: torch.Tensor = self.module(laid_out(inputs))
        return widened(outputs)

    def _backward(self, total: torch.Tensor) -> None:
        """Bring every layer's output gradient to its rule; no weight's gradient is computed on the way."""
        if self.tape.ends and total.requires_grad:
            ends: Any = self.tape.ends
            torch.autograd.grad(total, ends, allow_unused=True)

    def _found(self) -> list[Measured | None]:
        """Return each parameter's gradient; None where the batch does not touch it."""
        parts = [self.tape.found.get(parameter) for parameter in self.parameters]
        return [added(part) if part else None for part in parts]

    def _combined(
        self, found: list[Measured | None], clipping: Clipping, units: int
    ) -> list[torch.Tensor]:
        like = self.parameters[0] if self.parameters else torch.zeros(())
        nothing = like.new_zeros(units, dtype=torch.float64)
        squares = torch.stack([nothing if g is None else g.squares for g in found])
        factors = clipping.factors(squares, self.layers)
        return [
            torch.zeros_like(p) if g is None else g.gradient.weighted(f).reshape(p.shape)
            for p, g, f in zip(self.parameters, found, factors, strict=True)
        ]
