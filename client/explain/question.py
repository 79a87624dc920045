"""What is asked of a network about one sample."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from client.explain.fields import Fields
from client.explain.molecules import Molecule
from client.explain.scores import Score


class Unsuited(Exception):
    """A method cannot explain this network; the message says why."""


@dataclass(frozen=True)
class Question:
    """Why does the network give this sample its score?

    Attributes:
        network: in evaluation mode.
        score: the number that is explained.
        sample: `[1, *shape]` as the network sees it, on the network's device.
        baseline: `[1, *shape]`, the sample of which nothing is known.
        fields: what the last axis of tables and series means; none: an image.
        looked_into: the part of the network that reads the sample, in which methods look for maps and for attention;
            none: all of it.
        molecule: the sample's, where it is one.
    """

    network: nn.Module
    score: Score
    sample: Tensor
    baseline: Tensor
    fields: Fields | None
    looked_into: nn.Module | None = None
    molecule: Molecule | None = None

    @property
    def layers(self) -> list[nn.Module]:
        """All layers that read the sample."""
        return list((self.looked_into or self.network).modules())

    @property
    def forward(self) -> Callable[[Tensor], Tensor]:
        """From samples `[B, *shape]` to their scores, `[B]`."""
        return lambda samples: self.score.of(self.network(samples).float())

    @cached_property
    def value(self) -> float:
        """The sample's own score."""
        return self._of(self.sample)

    @cached_property
    def start(self) -> float:
        """The baseline's score."""
        return self._of(self.baseline)

    def _of(self, sample: Tensor) -> float:
        with torch.inference_mode():
            return float(self.forward(sample)[0])


def differentiable(question: Question) -> AbstractContextManager[object]:
    """Return a context in which gradients of the network's inputs can be computed.

    cuDNN refuses the backward pass of a recurrent layer in evaluation mode; PyTorch's own kernels do it.
    """
    recurrent = any(isinstance(layer, nn.RNNBase) for layer in question.network.modules())
    if question.sample.is_cuda and recurrent:
        found: AbstractContextManager[object] = torch.backends.cudnn.flags(enabled=False)
        return found
    return nullcontext()
