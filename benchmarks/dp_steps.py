"""One training step of a network in every way that `make bench-privacy` compares; run in a process of its own.

A step goes from the weights to the gradient that the optimiser takes: plain, or clipped by unit, summed, noised and
divided. Every unit has one sample, because Opacus knows no other; `patients` has four of each.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import nn

from common.memory import keep_freed_memory
from common.memory_format import channels_last, laid_out
from common.models.seed_cnns import stack
from common.privacy.engine import UnitBatch
from common.privacy.engines import Name, make_engine
from common.privacy.noise import SecureRandom
from common.privacy.plan import SitePlan
from common.privacy.step import private_gradient

warnings.filterwarnings("ignore")
Step = Callable[[], None]
PLAIN_PIECES = (16, 32, 64)


class Recurrent(nn.Module):
    """LSTM 1×128 and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(4, 128, batch_first=True)
        self.head = nn.Linear(128, 2)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        """Return `[B, 2]`."""
        outputs: torch.Tensor = self.head(self.encoder(series)[0][:, -1])
        return outputs


def densenet() -> nn.Module:
    """Return MONAI's DenseNet-121 with GroupNorm."""
    from monai.networks.nets import DenseNet121

    return DenseNet121(2, 1, 2, norm=("group", {"num_groups": 8}))


@dataclass(frozen=True)
class Case:
    """A network and its batch, `[B, ...]`."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]


CASES = {
    "cnn": Case(lambda: stack((1, 64, 64), (32, 64, 128), (128, 64), 5, False), (64, 1, 64, 64)),
    "lstm": Case(Recurrent, (64, 96, 4)),
    "densenet": Case(densenet, (16, 1, 64, 64)),
}


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the squared error of every sample, `[B]`."""
    return (outputs - targets).square().mean(1)


@dataclass(frozen=True)
class Bench:
    """A case on a device."""

    case: Case
    device: torch.device

    def network(self) -> nn.Module:
        """Return the network, the same weights every time."""
        torch.manual_seed(0)
        return self.case.build().to(self.device).train()

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets."""
        generator = torch.Generator().manual_seed(1)
        inputs = torch.randn(self.case.shape, generator=generator).to(self.device)
        with torch.no_grad():
            return inputs, torch.zeros_like(self.network()(inputs[:1])).expand(len(inputs), -1)

    def plain(self, piece: int, last: bool) -> Step:
        """Return the plain step, in pieces and in one memory order or the other."""
        network, (inputs, targets) = self.network(), self.batch()
        if last:
            network, inputs = channels_last(network), laid_out(inputs)

        def step() -> None:
            for parameter in network.parameters():
                parameter.grad = None
            for x, y in zip(inputs.split(piece), targets.split(piece), strict=True):
                (loss(network(x), y).sum() / len(inputs)).backward()

        return step

    def private(self, name: Name, each: int = 1) -> Step:
        """Return our private step with that engine; `each` samples a unit."""
        engine, (inputs, targets) = make_engine(name, self.network()), self.batch()
        units = len(inputs) // each
        unit = torch.arange(units, device=self.device).repeat_interleave(each)
        batch = UnitBatch(inputs, targets, unit, units)
        noise = SecureRandom.system()
        plan = SitePlan(
            declared_patients=2 * units,
            sampling_rate=Fraction(1, 2),
            steps_per_round=1,
            rounds=1,
            noise_multiplier=1.0,
            clip_norm=1.0,
            clip_style="flat",
            divisor=float(units),
            delta=1e-5,
            epsilon=1.0,
            evaluations=1,
            evaluation_noise=1.0,
            evaluation_epsilon=1.0,
        )
        engine.footprint(inputs[0])
        return lambda: private_gradient(engine, [batch], loss, plan, noise)

    def ghost(self) -> Step:
        """Return the step of Opacus' ghost clipping: two backward passes, noise of PyTorch's generator."""
        from opacus.grad_sample import GradSampleModuleFastGradientClipping
        from opacus.validators import ModuleValidator

        fixed = ModuleValidator.fix(self.network())
        for module in fixed.modules():
            if hasattr(module, "inplace"):
                module.inplace = False
        network = GradSampleModuleFastGradientClipping(
            fixed, max_grad_norm=1.0, use_ghost_clipping=True, loss_reduction="sum"
        )
        inputs, targets = self.batch()

        def step() -> None:
            network.zero_grad(set_to_none=True)
            losses = loss(network(inputs), targets)
            losses.sum().backward(retain_graph=True)
            network.get_norm_sample()
            factors = network.get_clipping_coef()
            for parameter in network.parameters():
                parameter.grad = None
            network.disable_hooks()
            (factors * losses).sum().backward()
            network.enable_hooks()
            for parameter in network.parameters():
                parameter.grad = (parameter.grad + torch.randn_like(parameter)) / len(inputs)

        return step

    def hooks(self) -> Step:
        """Return our private step on Opacus' hooks, which stop at in-place operations."""
        bench = Bench(
            Case(lambda: _without_inplace(self.case.build()), self.case.shape), self.device
        )
        return bench.private("hooks")

    def steps(self) -> Iterator[tuple[str, Callable[[], Step]]]:
        """Return every way by name."""
        pieces = [piece for piece in PLAIN_PIECES if piece <= self.case.shape[0]]
        orders = (False, True) if len(self.case.shape) == 4 else (False,)
        for last in orders:
            for piece in pieces:
                label = f"plain, pieces of {piece}" + (", channels last" if last else "")
                yield label, lambda piece=piece, last=last: self.plain(piece, last)
        yield "book-keeping", lambda: self.private("bookkeeping")
        yield "book-keeping, 4 samples a patient", lambda: self.private("bookkeeping", 4)
        yield "Opacus hooks", self.hooks
        yield "Opacus ghost", self.ghost


def _without_inplace(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    return network


def timed(bench: Bench, repeats: int) -> dict[str, list[float]]:
    """Return seconds of every way, taken in turn so that a machine's drift meets all alike."""
    steps = {label: make() for label, make in bench.steps()}
    found: dict[str, list[float]] = {label: [] for label in steps}
    for turn in range(repeats + 1):
        for label, step in steps.items():
            began = time.perf_counter()
            step()
            if bench.device.type == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first warms up
                found[label].append(time.perf_counter() - began)
    return found


def peak(bench: Bench, label: str) -> float:
    """Return by how many MB five steps raise this process's peak memory."""
    step = dict(bench.steps())[label]()
    before = _memory(bench.device)
    for _ in range(5):
        step()
    return _memory(bench.device) - before


def _memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print the seconds of all ways, or the memory of one, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--peak", metavar="WAY")
    given = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    bench = Bench(CASES[given.case], torch.device(given.device))
    if given.peak:
        print(json.dumps(peak(bench, given.peak)))
    else:
        found = timed(bench, given.repeats)
        print(json.dumps({"seconds": found, "labels": [label for label, _ in bench.steps()]}))


def ratios(seconds: dict[str, list[float]]) -> tuple[str, dict[str, float]]:
    """Return the fastest plain way, and every way's median ratio to it."""
    plain = [label for label in seconds if label.startswith("plain")]
    best = min(plain, key=lambda label: statistics.median(seconds[label]))
    base = seconds[best]
    return best, {
        label: statistics.median(a / b for a, b in zip(times, base, strict=True))
        for label, times in seconds.items()
    }


if __name__ == "__main__":
    main()
