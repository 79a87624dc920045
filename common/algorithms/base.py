"""What a federated algorithm is: a change to the local update, and a Flower strategy at the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from flwr.serverapp.strategy import Strategy

from common.plugins import Options

WEIGHT_KEY = "weight"
"""Name of the metric by which a reply weighs: the site's declared, public number of patients."""
ARRAYS_KEY = "weights"

STRATEGY_KEYS: dict[str, Any] = {
    "fraction_train": 1.0,
    "fraction_evaluate": 0.0,
    "min_train_nodes": 1,
    "min_available_nodes": 1,
    "weighted_by_key": WEIGHT_KEY,
    "arrayrecord_key": ARRAYS_KEY,
}
"""The round loop samples sites and waits for them itself; the strategies only combine what came."""


class Algorithm:
    """Base of the algorithms: averaging, with nothing added to the local update.

    Attributes:
        state: names of the strategy's attributes (arrays, or lists or mappings of arrays) that a restarted server
            needs to go on exactly where it stopped.
        averages: whether the strategy begins with the weighted mean of the replies, so that replies may be averaged
            in groups before it sees them.
    """

    Options: ClassVar[type[Options]] = Options
    state: ClassVar[tuple[str, ...]] = ()
    averages: ClassVar[bool] = True

    def __init__(self, options: Any) -> None:
        self.options = options

    def strategy(self) -> Strategy:
        """Return Flower's strategy for the server."""
        raise TypeError(f"{type(self).__name__} names no strategy.")

    def after_step(
        self, parameters: Sequence[torch.nn.Parameter], anchor: Sequence[torch.Tensor], rate: float
    ) -> None:
        """Change the parameters after an optimiser step; `anchor` holds the round's incoming values.

        Under privacy this comes after the noise, so that it costs nothing and is never clipped away.
        """

    def save(self, strategy: Strategy) -> dict[str, np.ndarray[Any, Any]]:
        """Return the strategy's state as named arrays."""
        saved: dict[str, np.ndarray[Any, Any]] = {}
        for name in self.state:
            value = getattr(strategy, name)
            items = value.items() if isinstance(value, dict) else enumerate(value or ())
            saved |= {f"{name}/{key}": np.asarray(array) for key, array in items}
        return saved

    def restore(self, strategy: Strategy, saved: dict[str, np.ndarray[Any, Any]]) -> None:
        """Put saved state back."""
        for name in self.state:
            prefix = f"{name}/"
            found = {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            if found:
                as_list = all(key.isdigit() for key in found)
                setattr(strategy, name, list(found.values()) if as_list else found)
