"""The recurrences of LSTM, GRU and RNN, forwards and backwards through time, written for whole sequences.

Everything that does not depend on the step before is computed for the sequence at once; what remains in the loop is one
matrix product and a few products of matrices' entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch

State = torch.Tensor
Weights = tuple[torch.Tensor, ...]
"""weight_ih `[G·H, D]`, weight_hh `[G·H, H]` and, where there are biases, bias_ih and bias_hh `[G·H]`."""


@dataclass(frozen=True)
class Run:
    """A pass over a sequence.

    Attributes:
        inputs: `[T, B, D]`.
        hidden: `[T + 1, B, H]`, the start included.
        last: the state's parts after the last step, `[B, H]` each.
        kept: what the way back needs, by name.
    """

    inputs: torch.Tensor
    hidden: torch.Tensor
    last: tuple[State, ...]
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Swept:
    """The way back.

    Attributes:
        inputs: `[T, B, D]`, what the gates read.
        hidden: `[T, B, H]`, the states that they read.
        from_input: `[T, B, G·H]`, gradients of weight_ih x + bias_ih.
        from_hidden: `[T, B, G·H]`, gradients of weight_hh h + bias_hh; often the same tensor.
    """

    inputs: torch.Tensor
    hidden: torch.Tensor
    from_input: torch.Tensor
    from_hidden: torch.Tensor


class Cell(Protocol):
    """A recurrence."""

    def forward(self, x: torch.Tensor, start: tuple[State, ...], weights: Weights) -> Run:
        """Run over `x`, `[T, B, D]`."""
        ...

    def backward(
        self,
        run: Run,
        outer: torch.Tensor,
        last: tuple[torch.Tensor, ...],
        weights: Weights,
    ) -> Swept:
        """Run back, given the gradients of all hidden states `[T, B, H]` and of the last state's parts."""
        ...


class LSTMCell:
    """Long short-term memory (Hochreiter and Schmidhuber 1997), PyTorch's order of gates: i, f, g, o.

    Inside, the gates stand in the order i, f, o, g, and g is squashed as 2σ(2x) − 1 = tanh x, so that one call squashes
    all four: PyTorch's tanh takes eight times as long as its sigmoid.
    """

    def forward(self, x: torch.Tensor, start: tuple[State, ...], weights: Weights) -> Run:
        """See `Cell.forward`."""
        size = weights[1].shape[1]
        w_in, w_hidden, *biases = (_swapped(weight, size) for weight in weights)
        gates = _pre_activations(x, w_in, biases)
        hidden, memory = _room(start[0], len(x)), _room(start[1], len(x))
        squashed = torch.empty_like(hidden[1:])
        across = w_hidden.t().contiguous()
        i, f, o, g = (gate.unbind(0) for gate in gates.split(size, 2))
        h, c, bent = hidden.unbind(0), memory.unbind(0), squashed.unbind(0)
        for t, gate in enumerate(gates.unbind(0)):
            gate.addmm_(h[t], across)
            gate.sigmoid_()
            g[t].mul_(2).sub_(1)
            torch.mul(f[t], c[t], out=c[t + 1]).addcmul_(i[t], g[t])
            torch.mul(c[t + 1], 2, out=bent[t]).sigmoid_().mul_(2).sub_(1)
            torch.mul(o[t], bent[t], out=h[t + 1])
        kept = {"gates": gates, "memory": memory, "squashed": squashed}
        return Run(x, hidden, (hidden[-1], memory[-1]), kept)

    def backward(
        self, run: Run, outer: torch.Tensor, last: tuple[torch.Tensor, ...], weights: Weights
    ) -> Swept:
        """See `Cell.backward`."""
        size = weights[1].shape[1]
        gates = run.kept["gates"].unflatten(2, (4, size))
        memory, squashed = run.kept["memory"], run.kept["squashed"]
        slopes = torch.empty_like(gates)  # in PyTorch's order again
        d_hidden, d_memory = last[0].clone(), last[1].clone()
        given, f = outer.unbind(0), gates[:, :, 1].unbind(0)
        slope, three = slopes.flatten(2).unbind(0), slopes[:, :, :3].unbind(0)
        o = slopes[:, :, 3].unbind(0)
        for times in _blocks(len(outer)):
            through = _lstm_slopes(gates[times], memory[times], squashed[times], slopes[times])
            for t in range(times.stop - 1, times.start - 1, -1):
                d_hidden += given[t]
                d_memory.addcmul_(d_hidden, through[t - times.start])
                three[t].mul_(d_memory[:, None])
                o[t].mul_(d_hidden)
                d_memory.mul_(f[t])
                torch.mm(slope[t], weights[1], out=d_hidden)
        swept = slopes.flatten(2)
        return Swept(run.inputs, run.hidden[:-1], swept, swept)


def _lstm_slopes(
    gates: torch.Tensor, before: torch.Tensor, squashed: torch.Tensor, slopes: torch.Tensor
) -> torch.Tensor:
    """Write each gate's own slope, and return the memory's share in the hidden state's gradient."""
    i, _, o, g = gates.unbind(2)
    three = gates[:, :, :3]
    steep = torch.addcmul(three, three, three, value=-1)
    torch.mul(steep[:, :, 0], g, out=slopes[:, :, 0])
    torch.mul(steep[:, :, 1], before, out=slopes[:, :, 1])
    torch.addcmul(i, i * g, g, value=-1, out=slopes[:, :, 2])
    torch.mul(steep[:, :, 2], squashed, out=slopes[:, :, 3])
    return torch.addcmul(o, o * squashed, squashed, value=-1)


class GRUCell:
    """Gated recurrent unit (Cho et al. 2014), as PyTorch has it: r, z, n with the reset inside n."""

    def forward(self, x: torch.Tensor, start: tuple[State, ...], weights: Weights) -> Run:
        """See `Cell.forward`."""
        size = weights[1].shape[1]
        gates = _pre_activations(x, weights[0], list(weights[2:3]))
        across, shift = weights[1].t().contiguous(), weights[3] if len(weights) > 2 else None
        hidden = _room(start[0], len(x))
        inner = torch.empty_like(hidden[1:])
        for t in range(len(x)):
            gate, seen = gates[t], hidden[t] @ across
            if shift is not None:
                seen += shift
            gate[:, : 2 * size].add_(seen[:, : 2 * size]).sigmoid_()
            inner[t] = seen[:, 2 * size :]
            r, z, n = gate.split(size, 1)
            n.addcmul_(r, inner[t]).tanh_()
            torch.lerp(n, hidden[t], z, out=hidden[t + 1])
        return Run(x, hidden, (hidden[-1],), {"gates": gates, "inner": inner})

    def backward(
        self, run: Run, outer: torch.Tensor, last: tuple[torch.Tensor, ...], weights: Weights
    ) -> Swept:
        """See `Cell.backward`."""
        size = weights[1].shape[1]
        gates, inner = run.kept["gates"], run.kept["inner"]
        from_input, from_hidden = torch.empty_like(gates), torch.empty_like(gates)
        d_hidden = last[0].clone()
        for t in range(len(outer) - 1, -1, -1):
            d_hidden += outer[t]
            r, z, n = gates[t].split(size, 1)
            d_n = d_hidden * (1 - z) * (1 - n * n)
            d_z = d_hidden * (run.hidden[t] - n) * z * (1 - z)
            d_r = d_n * inner[t] * r * (1 - r)
            torch.cat([d_r, d_z, d_n], dim=1, out=from_input[t])
            torch.cat([d_r, d_z, d_n * r], dim=1, out=from_hidden[t])
            d_hidden = torch.addmm(d_hidden * z, from_hidden[t], weights[1])
        return Swept(run.inputs, run.hidden[:-1], from_input, from_hidden)


@dataclass(frozen=True)
class PlainCell:
    """Elman's network (1990), squashed by tanh or ReLU.

    Attributes:
        rectified: whether by ReLU.
    """

    rectified: bool

    def forward(self, x: torch.Tensor, start: tuple[State, ...], weights: Weights) -> Run:
        """See `Cell.forward`."""
        gates = _pre_activations(x, weights[0], list(weights[2:]))
        across, hidden = weights[1].t().contiguous(), _room(start[0], len(x))
        for t in range(len(x)):
            sum_ = gates[t].addmm_(hidden[t], across)
            hidden[t + 1] = sum_.relu() if self.rectified else sum_.tanh()
        return Run(x, hidden, (hidden[-1],))

    def backward(
        self, run: Run, outer: torch.Tensor, last: tuple[torch.Tensor, ...], weights: Weights
    ) -> Swept:
        """See `Cell.backward`."""
        out = run.hidden[1:]
        slopes = (out > 0).to(out.dtype) if self.rectified else 1 - out * out
        d_hidden = last[0].clone()
        for t in range(len(outer) - 1, -1, -1):
            slopes[t].mul_(d_hidden + outer[t])
            torch.mm(slopes[t], weights[1], out=d_hidden)
        return Swept(run.inputs, run.hidden[:-1], slopes, slopes)


CELLS: Mapping[str, Cell] = {
    "lstm": LSTMCell(),
    "gru": GRUCell(),
    "rnn_tanh": PlainCell(rectified=False),
    "rnn_relu": PlainCell(rectified=True),
}
"""By the `mode` that PyTorch gives its layers."""

_BLOCK = 8
"""Steps whose local slopes are computed together: they stay in the cache."""


def _blocks(steps: int) -> list[slice]:
    """Return the steps in blocks, the last first."""
    starts = range(0, steps, _BLOCK)
    return [slice(start, min(start + _BLOCK, steps)) for start in reversed(starts)]


def _pre_activations(
    x: torch.Tensor, weight: torch.Tensor, biases: list[torch.Tensor]
) -> torch.Tensor:
    """Return weight x + biases for the whole sequence, `[T, B, G·H]`."""
    out = x.flatten(0, 1) @ weight.t()
    for bias in biases:
        out += bias
    return out.reshape(*x.shape[:2], -1)


def _room(start: State, steps: int) -> torch.Tensor:
    room = start.new_empty((steps + 1, *start.shape))
    room[0] = start
    return room


def _swapped(weight: torch.Tensor, size: int) -> torch.Tensor:
    """Put the gates, along the first dimension, from i, f, g, o into i, f, o, 2g."""
    i, f, g, o = weight.split(size)
    return torch.cat([i, f, o, 2 * g])
