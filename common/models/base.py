"""What a model family is."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

from pydantic import Field
from torch import nn

from common.plugins import Options

Width = Annotated[int, Field(ge=1, le=65_536)]
"""Units or channels of a layer."""


class ModelOptions(Options):
    """Base of a family's options in the study's `[model]` table."""


class ModelFamily(Protocol):
    """Builds one kind of network.

    Networks map `[batch, *shape]` to `[batch, outputs]`. They hold no BatchNorm (it mixes patients) and draw no
    random numbers in their forward pass (dropout would make a simulation depend on its threads). A family that needs to
    know more of the data than their shape has `build_for(options, data, outputs)` in the place of `build`, with the
    study's `[data]`; where it may also be the network of a part of fused data, it says `of_parts = True` and gets that
    part's description then. One whose weights other libraries keep under other names has `translated(name)`, which
    gives the name here.
    """

    Options: type[ModelOptions]

    @staticmethod
    def build(options: Any, shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a freshly initialised network for samples of `shape`."""
        ...


def require_rank(family: str, shape: tuple[int, ...], rank: int, meaning: str) -> None:
    """Refuse sample shapes that a family cannot take."""
    from common.errors import StudyError

    if len(shape) != rank:
        raise StudyError(
            f"Model '{family}' takes {meaning}, but the study's data have sample shape {shape}.",
            where="[model] name",
            fix="Choose a model made for this kind of data.",
        )
