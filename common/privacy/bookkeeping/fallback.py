"""The rule for modules that have weights of their own in no known way: every sample's gradient by `vmap`.

It runs the module once more for each sample, so it costs time and memory, and random layers inside would draw anew.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from common.errors import StudyError
from common.privacy.bookkeeping.gradients import Formed, UnitGradient
from common.privacy.bookkeeping.tape import Read
from common.privacy.bookkeeping.units import Units


def by_vmap(
    layer: nn.Module, read: Read, gradient: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Gradients of all weights inside `layer`, by their dotted names in it."""
    weights = {name: p.detach() for name, p in layer.named_parameters() if p.requires_grad}

    def product(
        given: Mapping[str, torch.Tensor], sample: torch.Tensor, slope: torch.Tensor
    ) -> torch.Tensor:
        output: torch.Tensor = functional_call(layer, dict(given), (sample[None],))
        return (output * slope[None]).sum()

    try:
        each = vmap(grad(product), in_dims=(None, 0, 0))(weights, read.values, gradient)
    except (RuntimeError, NotImplementedError) as error:
        raise StudyError(
            f"Layer '{type(layer).__name__}' has weights of its own and cannot be run sample by sample "
            f"({_first_line(error)}).",
            where="[model]",
            fix="Put these weights into a layer of their own, without in-place operations, or set engine = 'hooks'.",
        ) from error
    return {name: Formed(units.sum(values)) for name, values in each.items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
