"""LSTM, GRU and RNN: one pass over the sequence that keeps the gates' gradients.

The gradient of every weight is a product of the gates' pre-activation gradients with what the gates read, so the whole
sequence costs one matrix product a unit, where a hook per time step costs hundreds of small ones. The recurrence itself
is in `cells`; here it is put in the place of the layer's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional

from common.errors import StudyError
from common.privacy.bookkeeping.cells import CELLS, Cell, Swept
from common.privacy.bookkeeping.gradients import Formed, UnitGradient, factors_pay, product
from common.privacy.bookkeeping.sums import outer, widened
from common.privacy.bookkeeping.tape import Tape
from common.privacy.bookkeeping.units import Units

State = torch.Tensor
Sink = Callable[[Swept], None]


class _Recurrence(torch.autograd.Function):
    """One layer in one direction; its backward pass hands the gates' gradients to a sink."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        anchor: torch.Tensor,
        states: tuple[State, ...],
        weights: tuple[torch.Tensor, ...],
        cell: Cell,
        sink: Sink,
    ) -> tuple[torch.Tensor, ...]:
        """Return the states of all steps `[T, B, H]` and the last state's parts `[B, H]`; `x` is `[T, B, D]`."""
        run = cell.forward(x, states, weights)
        ctx.cell, ctx.run, ctx.weights, ctx.sink = cell, run, weights, sink
        return (run.hidden[1:].clone(), *(part.clone() for part in run.last))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        """Return the gradient of `x`; the weights' goes to the sink."""
        swept = ctx.cell.backward(ctx.run, grads[0], grads[1:], ctx.weights)
        ctx.sink(swept)
        toward = None
        if ctx.needs_input_grad[0]:
            toward = (swept.from_input.flatten(0, 1) @ ctx.weights[0]).reshape(swept.inputs.shape)
        return toward, None, None, None, None, None


def install(tape: Tape, name: str, layer: nn.RNNBase) -> Callable[[], None]:
    """Let the layer run our recurrence while the tape records; return what undoes it.

    Raises:
        StudyError: the layer projects its state, which this engine cannot do.
    """
    if layer.proj_size:
        raise StudyError(
            f"Layer '{name}' ({type(layer).__name__}) has proj_size, which private training cannot do.",
            where="[model]",
            fix="Set proj_size = 0 and put a Linear layer behind it.",
        )
    own = layer.forward

    def forward(inputs: Any, hx: Any = None) -> Any:
        if not tape.recording:
            return own(inputs, hx)
        with torch.autocast(next(layer.parameters()).device.type, enabled=False):
            return _run(tape, name, layer, inputs, hx)

    layer.forward = forward
    return lambda: layer.__dict__.pop("forward", None)


def _run(tape: Tape, name: str, layer: nn.RNNBase, inputs: Any, hx: Any) -> Any:
    """Do what the layer does, and record it."""
    units = tape.units
    if not isinstance(inputs, torch.Tensor) or inputs.ndim != 3 or units is None:
        raise _refused(name, layer, "it takes packed or unbatched sequences")
    x = widened(inputs.transpose(0, 1) if layer.batch_first else inputs)
    if x.shape[1] != units.rows:
        raise _refused(name, layer, "its batch is not the samples'")
    tape.read_bytes += 8 * x.shape[0] * x.shape[1] * layer.hidden_size * 4
    starts = _starts(layer, hx, x)
    finals: list[tuple[torch.Tensor, ...]] = []
    for depth in range(layer.num_layers):
        outputs = []
        for direction in range(2 if layer.bidirectional else 1):
            place = len(finals)
            out, *last = _direction(tape, layer, units, x, depth, direction, starts[place])
            outputs.append(out)
            finals.append(tuple(last))
        x = torch.cat(outputs, dim=2) if len(outputs) > 1 else outputs[0]
        if layer.dropout and depth < layer.num_layers - 1:
            x = functional.dropout(x, layer.dropout, layer.training)
    states = tuple(torch.stack(parts) for parts in zip(*finals, strict=True))
    return x.transpose(0, 1) if layer.batch_first else x, states if len(states) > 1 else states[0]


def _direction(
    tape: Tape,
    layer: nn.RNNBase,
    units: Units,
    x: torch.Tensor,
    depth: int,
    direction: int,
    start: tuple[State, ...],
) -> list[torch.Tensor]:
    suffix = f"_l{depth}" + ("_reverse" if direction else "")
    names = [f"weight_ih{suffix}", f"weight_hh{suffix}"]
    names += [f"bias_ih{suffix}", f"bias_hh{suffix}"] if layer.bias else []
    anchor = torch.zeros((), device=x.device, requires_grad=True)
    if not x.requires_grad:
        tape.ends.append(anchor)

    def sink(swept: Swept) -> None:
        tape.deliver(layer, _gradients(names, swept, units))

    weights = tuple(layer.get_parameter(name).detach() for name in names)
    ordered = x.flip(0) if direction else x
    out, *last = _Recurrence.apply(ordered, anchor, start, weights, CELLS[layer.mode.lower()], sink)
    return [out.flip(0) if direction else out, *last]


def _gradients(names: list[str], swept: Swept, units: Units) -> dict[str, UnitGradient]:
    """Return the weights' gradients: products, over all steps, of what the gates read and their gradients."""
    # Detached: sums that hold on to the layers before would keep every piece of a step in memory.
    x, h = swept.inputs.detach().transpose(0, 1), swept.hidden.transpose(0, 1)
    from_input, from_hidden = swept.from_input.transpose(0, 1), swept.from_hidden.transpose(0, 1)
    biases = names[2:] or [""]
    if swept.from_hidden is not swept.from_input:
        found = _products({names[0]: x, biases[0]: None}, from_input, units)
        return found | _products({names[1]: h, biases[-1]: None}, from_hidden, units)
    found = _products({names[0]: x, names[1]: h, biases[0]: None}, from_input, units)
    return found | ({names[3]: found[names[2]]} if len(names) > 2 else {})


def _products(
    read: Mapping[str, torch.Tensor | None], slopes: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    """Return the gradients of weights that read `[B, T, ·]` each, and of a bias that reads nothing.

    One product for all: everything read stands side by side, with a column of ones for the bias.
    """
    gates = slopes.shape[2]
    sizes = {
        name: 1 if values is None else values.shape[2] for name, values in read.items() if name
    }
    matrices = {name: values for name, values in read.items() if values is not None}
    if all(factors_pay(slopes.shape[1], sizes[name], gates, units) for name in matrices):
        return _apart(read, slopes, units)
    ones = slopes.new_ones((*slopes.shape[:2], 1))
    beside = torch.cat([ones if read[name] is None else matrices[name] for name in sizes], dim=2)
    parts = outer(slopes, beside, units).split(list(sizes.values()), dim=1)
    return {
        name: Formed(part.flatten(1)) if read[name] is None else Formed(part, (1, 0))
        for name, part in zip(sizes, parts, strict=True)
    }


def _apart(
    read: Mapping[str, torch.Tensor | None], slopes: torch.Tensor, units: Units
) -> dict[str, UnitGradient]:
    found: dict[str, UnitGradient] = {}
    for name, values in read.items():
        if values is not None:
            found[name] = product(values, slopes, units, (slopes.shape[2], values.shape[2]))
        elif name:
            found[name] = Formed(units.sum(slopes.sum(1)))
    return found


def _starts(layer: nn.RNNBase, hx: Any, x: torch.Tensor) -> list[tuple[State, ...]]:
    """Return the state that each layer and direction starts from."""
    places = layer.num_layers * (2 if layer.bidirectional else 1)
    parts = 2 if isinstance(layer, nn.LSTM) else 1
    if hx is None:
        zero = x.new_zeros((x.shape[1], layer.hidden_size))
        return [(zero,) * parts] * places
    given = cast(tuple[torch.Tensor, ...], hx if isinstance(hx, tuple) else (hx,))
    if any(part.requires_grad for part in given):
        raise _refused("", layer, "its initial state is learned or computed")
    return [tuple(widened(part[place]) for part in given) for place in range(places)]


def _refused(name: str, layer: nn.Module, why: str) -> StudyError:
    return StudyError(
        f"Layer '{name}' ({type(layer).__name__}) cannot be trained privately by the book-keeping engine: {why}.",
        where="[model], [privacy] engine",
        fix="Give it tensors of three dimensions, the samples' included, and no state that needs a gradient.",
    )
