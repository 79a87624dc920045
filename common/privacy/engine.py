"""What a gradient engine must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import nn

from common.errors import StudyError
from common.privacy.clipping import Clipping

LossPerSample = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Precision = Literal["full", "mixed"]


@dataclass(frozen=True)
class UnitBatch:
    """Samples of whole units of privacy: no unit straddles two batches.

    Attributes:
        inputs: `[B, ...]`.
        targets: `[B, ...]`.
        unit: `[B]`, which unit, 0 … units − 1, a sample belongs to.
        units: how many units there are.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    unit: torch.Tensor
    units: int

    def ordered(self) -> UnitBatch:
        """Return the same samples with those of one unit together."""
        if not bool((self.unit[1:] < self.unit[:-1]).any()):
            return self
        order = torch.argsort(self.unit, stable=True)
        return replace(
            self, inputs=self.inputs[order], targets=self.targets[order], unit=self.unit[order]
        )

    def halves(self) -> tuple[UnitBatch, UnitBatch]:
        """Return the first half of the units and the second, each with all its samples."""
        middle = self.units // 2
        first = self.unit < middle
        return self._part(first, 0, middle), self._part(~first, middle, self.units - middle)

    def _part(self, rows: torch.Tensor, start: int, units: int) -> UnitBatch:
        return UnitBatch(self.inputs[rows], self.targets[rows], self.unit[rows] - start, units)


@dataclass(frozen=True)
class Footprint:
    """Memory that a step takes, in bytes.

    Attributes:
        per_sample: what layers keep of one sample.
        per_unit: gradients that are formed for one unit.
    """

    per_sample: int
    per_unit: int


class GradientEngine(Protocol):
    """Computes the sum of per-unit gradients, each bounded in L2 norm.

    Attributes:
        module: the network to train; its parameters have the order and names of the network it was made from.
    """

    module: nn.Module

    def clipped_sum(
        self, batch: UnitBatch, loss: LossPerSample, clipping: Clipping
    ) -> list[torch.Tensor]:
        """Return, for every trainable parameter, the sum over units of the clipped gradient of the unit's mean loss.

        Adding or removing one unit changes the concatenated result by at most `clipping.norm` in L2 norm.
        """
        ...

    def footprint(self, example: torch.Tensor) -> Footprint:
        """Return what memory samples like `example` (one sample, without the batch) take."""
        ...


def layers_of(module: nn.Module) -> list[int]:
    """Return, for every trainable parameter, which layer, 0 … L − 1, owns it."""
    owners = [name.rpartition(".")[0] for name, p in module.named_parameters() if p.requires_grad]
    number = {owner: n for n, owner in enumerate(dict.fromkeys(owners))}
    return [number[owner] for owner in owners]


def check_per_sample(losses: torch.Tensor, batch: int) -> None:
    """Refuse a loss that is not one value a sample.

    Raises:
        StudyError: its shape is not `[batch]`.
    """
    if losses.shape != (batch,):
        raise StudyError(
            f"The task's loss has shape {list(losses.shape)} where one value per sample, [{batch}], is needed.",
            fix="Return the loss of every sample, without a mean and without a trailing dimension.",
        )


def made_up(example: torch.Tensor, rows: int) -> torch.Tensor:
    """Return `rows` made-up samples of an example's shape: measuring must not look at patients."""
    shape = (rows, *example.shape)
    if not example.is_floating_point():
        return torch.zeros(shape, dtype=example.dtype, device=example.device)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator).to(example.device, example.dtype)


def mixed(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a forward pass runs."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "mixed")


@contextmanager
def unchanging(network: nn.Module) -> Iterator[None]:
    """Switch off what draws at random, so that two passes are the same."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def require_uncoupled(run: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor) -> None:
    """Refuse a network that gives a sample another output when others are beside it.

    Clipping bounds what a unit adds to the sum; it bounds nothing where units change each other's gradients.

    Raises:
        StudyError: the outputs differ.
    """
    samples = made_up(example, 3)
    with torch.no_grad():
        together = run(samples)
        alone = torch.cat([run(sample[None]) for sample in samples])
    if not torch.allclose(together, alone, rtol=0.02, atol=0.02 * float(alone.abs().max())):
        raise StudyError(
            "The network mixes the samples of a batch: one sample's output depends on the others.",
            where="[model]",
            fix="Treat every sample by itself: no mean, norm or attention over the first dimension.",
        )


def mixture(outputs: torch.Tensor) -> torch.Tensor:
    """Return a number that depends on every output in its own way, and on every sample alike."""
    return (outputs * made_up(outputs[0].detach(), 1)).sum()


def require_same_sums(
    names: Sequence[str],
    found: Sequence[torch.Tensor | None],
    truth: Sequence[torch.Tensor | None],
    precision: Precision,
) -> None:
    """Compare samples' gradients `[B, ...]`, summed, with PyTorch's own: a weight used past its layer would be missed.

    Raises:
        StudyError: they differ, naming the weight.
    """
    size = max((float(t.norm()) for t in truth if t is not None), default=0.0)
    allowed = 0.05 if precision == "mixed" else 1e-3
    for name, mine, right in zip(names, found, truth, strict=True):
        own = torch.zeros(()) if mine is None else mine.detach().sum(0)
        other = torch.zeros(()) if right is None else right
        wrong = float((own.to(other.device) - other).norm())
        if wrong > allowed * (float(other.norm()) + 0.01 * size):
            raise StudyError(
                f"The gradient of '{name}' cannot be had sample by sample: the network uses this weight outside its "
                "layer, or mixes samples.",
                where="[model]",
                fix="Use every weight through the layer that owns it, and treat every sample by itself.",
            )
