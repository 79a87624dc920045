"""What a site keeps ready between rounds: the task, the algorithm, the network's layout, the device."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from common.algorithms import build_algorithm
from common.algorithms.base import Algorithm
from common.errors import Interrupted, MachineError
from common.fit import network_for
from common.lazy import lazy
from common.study import Study
from common.tasks import build_task
from common.tasks.base import Task
from common.weights import Layout, Vector, exchanged, pack, unpack


class Progress(Protocol):
    """Hears about every step; may raise `Interrupted` to end a round before anything leaves."""

    def step(self, taken: int, planned: int) -> None:
        """Called before step `taken` (from 0) of `planned`."""
        ...

    def loss(self, value: float) -> None:
        """Told the mean loss of a step's samples; an exact figure, which never leaves the site."""
        ...


class Silent:
    """Progress that nobody watches."""

    def step(self, taken: int, planned: int) -> None:
        """Do nothing."""

    def loss(self, value: float) -> None:
        """Do nothing."""


class Stopped(Interrupted):
    """The site itself is being stopped: what was in hand is thrown away, so that it costs nothing."""


class Stop:
    """Whether the site is being stopped; set once, by any thread."""

    def __init__(self) -> None:
        self._wanted = threading.Event()

    def set(self) -> None:
        """Have the next `check` raise."""
        self._wanted.set()

    def check(self) -> None:
        """Raise `Stopped` once the site is being stopped."""
        if self._wanted.is_set():
            raise Stopped(
                "The site was stopped before anything left.",
                fix="Start it again; the coordinator may ask for the round once more.",
            )


@dataclass(frozen=True)
class Stoppable:
    """Progress of a round that ends at its next step when the site is being stopped.

    Attributes:
        inner: who watches the round.
        stop: whether to stop.
    """

    inner: Progress
    stop: Stop

    def step(self, taken: int, planned: int) -> None:
        """Stop, or pass the step on."""
        self.stop.check()
        self.inner.step(taken, planned)

    def loss(self, value: float) -> None:
        """Pass the loss on."""
        self.inner.loss(value)


@dataclass(frozen=True)
class Workspace:
    """A study made ready to run on one device.

    Attributes:
        study: what is trained.
        device: where.
    """

    study: Study
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @lazy
    def task(self) -> Task:
        """The study's task."""
        return build_task(self.study)

    @lazy
    def algorithm(self) -> Algorithm:
        """The study's algorithm."""
        return build_algorithm(self.study)

    @lazy
    def template(self) -> nn.Module:
        """The network with its initial weights, on the CPU; never trained itself."""
        return network_for(self.study, self.task)

    @lazy
    def layout(self) -> Layout:
        """The declared layout of what is exchanged."""
        return Layout.of(exchanged(self.template))

    @property
    def initial(self) -> Vector:
        """The packed weights before the first round."""
        return pack(exchanged(self.template))

    def fresh_network(self, weights: Vector) -> nn.Module:
        """Return a network of its own that holds the given weights."""
        network = copy.deepcopy(self.template)
        network.load_state_dict(unpack(weights, self.layout), strict=False)  # the rest is frozen
        return network.to(self.device)

    def packed(self, network: nn.Module) -> Vector:
        """Return a network's weights in the declared layout."""
        return pack({name: network.state_dict()[name] for name, _ in self.layout.entries})


def choose_device(wanted: str) -> torch.device:
    """Return the device that `auto`, `cpu`, `cuda`, `cuda:N` or `mps` stands for.

    Raises:
        MachineError: the device is not there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    device = torch.device(wanted)
    if not present.get(device.type, False) or (device.index or 0) >= max(
        1, torch.cuda.device_count()
    ):
        raise MachineError(
            f"Device '{wanted}' is not available here.",
            where="[compute] device",
            fix="Use device = 'auto', or 'cpu'.",
        )
    return device
