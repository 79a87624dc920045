"""Records what every layer read, and hands each layer's output gradient to its rule during the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from common.errors import StudyError
from common.privacy.bookkeeping.gradients import Measured, UnitGradient
from common.privacy.bookkeeping.units import Units

Gradients = Mapping[str, UnitGradient]


@dataclass(frozen=True)
class Read:
    """What a layer read, and what its forward pass worked out.

    Attributes:
        values: `[B, ...]`.
        node: its step in PyTorch's graph, which keeps such things as the means of a norm.
    """

    values: torch.Tensor
    node: object = None


Rule = Callable[[nn.Module, Read, torch.Tensor, Units], Gradients]
"""From a layer, what it read, its output gradient `[B, ...]` and the units: gradients by parameter name."""


@dataclass(frozen=True)
class Watched:
    """A layer with weights, and how its gradients are had.

    Attributes:
        name: its dotted name in the network.
        layer: the layer.
        rule: gives its gradients.
    """

    name: str
    layer: nn.Module
    rule: Rule


class Tape:
    """The record of one forward pass.

    Attributes:
        units: of the batch; None when nothing is recorded.
        found: gradients by parameter, as the backward pass brings them; a parameter used twice has two.
        reads: what layers read, until their gradient has come.
        ends: where the backward pass may stop: below them lie no weights.
        read_bytes: what the layers' inputs and outputs hold.
    """

    def __init__(self) -> None:
        self.units: Units | None = None
        self.busy = False
        self.clear()

    def clear(self) -> None:
        """Forget everything, also what an interrupted pass left behind."""
        self.units = None
        self.busy = False
        self.found: dict[nn.Parameter, list[Measured]] = {}
        self.ends: list[torch.Tensor | torch.autograd.graph.GradientEdge] = []
        self.reads: dict[int, Read] = {}
        self.count = 0
        self.read_bytes = 0

    def start(self, units: Units) -> None:
        """Record the next forward pass."""
        self.clear()
        self.units = units

    @property
    def recording(self) -> bool:
        """Whether a forward pass is to be recorded."""
        return self.units is not None and not self.busy and torch.is_grad_enabled()

    def watch(self, watched: Watched) -> torch.utils.hooks.RemovableHandle:
        """Record a layer whenever it runs."""

        def ran(layer: nn.Module, inputs: tuple[object, ...], output: object) -> object:
            if not self.recording:
                return output
            return self.record(watched, inputs[0] if inputs else None, output)

        return watched.layer.register_forward_hook(ran)

    def record(self, watched: Watched, read: object, output: object) -> torch.Tensor:
        """Keep what a layer read, wait for its output's gradient, and return the output.

        Raises:
            StudyError: the layer's first dimension is not the batch, or what it gives is not a tensor.
        """
        units = self.units
        if not (isinstance(read, torch.Tensor) and isinstance(output, torch.Tensor) and units):
            raise _unusual(watched, "it takes or gives something else than one tensor")
        if read.shape[:1] != (units.rows,) or output.shape[:1] != (units.rows,):
            raise _unusual(watched, "its first dimension is not that of the samples")
        if not output.requires_grad:
            return output
        number, version = self.count, read._version
        self.count += 1
        self.read_bytes += read.nbytes + output.nbytes

        def arrived(grad: torch.Tensor) -> None:
            kept = self.reads.pop(number)
            if kept.values._version != version:
                raise _unusual(watched, "what it read was overwritten in place afterwards")
            self.busy = True  # a rule may run its layer again, which is no news
            try:
                self.deliver(watched.layer, watched.rule(watched.layer, kept, grad, units))
            finally:
                self.busy = False

        # The edge stays that of this layer even if an in-place operation changes the tensor later; not so of a view.
        output = output.clone() if output._is_view() else output
        # Held by the tape, not by the hook: a hook that holds its own node would never be freed.
        self.reads[number] = Read(read.detach(), output.grad_fn)
        if not read.requires_grad:
            self.ends.append(torch.autograd.graph.get_gradient_edge(output))
        output.register_hook(arrived)
        return output

    def deliver(self, layer: nn.Module, gradients: Gradients) -> None:
        """Take a layer's gradients, by local parameter name."""
        for name, gradient in gradients.items():
            parameter = layer.get_parameter(name)
            if parameter.requires_grad:
                self.found.setdefault(parameter, []).append(Measured.of(gradient))


def _unusual(watched: Watched, why: str) -> StudyError:
    return StudyError(
        f"Layer '{watched.name}' ({type(watched.layer).__name__}) cannot be trained privately by the "
        f"book-keeping engine: {why}.",
        where="[model], [privacy] engine",
        fix="Give it one tensor with the samples as the first dimension, and leave that tensor as it is afterwards.",
    )
