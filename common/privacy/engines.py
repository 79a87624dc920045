"""The gradient engines by name."""

from __future__ import annotations

from typing import Literal

from torch import nn

from common.errors import StudyError
from common.privacy.bookkeeping.engine import BookkeepingEngine
from common.privacy.engine import GradientEngine, Precision

Name = Literal["auto", "bookkeeping", "hooks"]


def make_engine(name: Name, network: nn.Module, precision: Precision = "full") -> GradientEngine:
    """Return the engine of that name around a network.

    `auto` is book-keeping, or Opacus' hooks where that cannot do a layer which they can.

    Raises:
        StudyError: a layer cannot be trained privately; named, with the fix.
    """
    if name == "hooks":
        return _hooks(network, precision)
    try:
        return BookkeepingEngine(network, precision)
    except StudyError as refusal:
        if name == "bookkeeping":
            raise
        try:
            return _hooks(network, precision)
        except StudyError:
            raise refusal from None


def _hooks(network: nn.Module, precision: Precision) -> GradientEngine:
    """Opacus takes two seconds to import: only who wants it waits."""
    from common.privacy.hooks import HooksEngine

    return HooksEngine(network, precision)
