"""The gradient engines by name."""

from __future__ import annotations

from torch import nn

from common.privacy.engine import GradientEngine


def make_engine(name: str, network: nn.Module) -> GradientEngine:
    """Return the engine of that name around a network; `auto` takes the fastest that can do the network.

    There is one so far, Opacus' hooks, which is imported here because it takes two seconds.
    """
    from common.privacy.hooks import HooksEngine

    return HooksEngine(network)
