"""The gradient of one parameter for every unit: formed, or kept as the factors of its outer products.

Each form gives the squared norms and the sum over units weighted with the clipping factors. The norm belongs to what is
summed, rounding included: a unit must not pass C because its norm was computed in another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from common.privacy.bookkeeping.sums import gram, outer, squared_norms
from common.privacy.bookkeeping.units import Units

_ROUNDING = 2.5e-7
"""Relative error of a float32 sum of products, with room to spare."""


class UnitGradient(Protocol):
    """The gradient of one parameter for every unit.

    Attributes:
        nbytes: what it holds beside what the layer read.
    """

    @property
    def nbytes(self) -> int: ...

    def squares(self) -> torch.Tensor:
        """Return the squared L2 norms, `[units]` float64."""
        ...

    def weighted(self, factors: torch.Tensor) -> torch.Tensor:
        """Return the sum of the units' gradients times `factors`, `[units]`, in the parameter's shape."""
        ...

    def formed(self) -> torch.Tensor:
        """Return every unit's gradient, `[units, *shape]`."""
        ...


@dataclass(frozen=True)
class Formed:
    """Gradients that exist.

    Attributes:
        values: `[units, *shape]`, the parameter's dimensions in the order that lies together in memory.
        order: how to permute them into the parameter's own; None where they are in it.
    """

    values: torch.Tensor
    order: tuple[int, ...] | None = None

    @property
    def nbytes(self) -> int:
        """See `UnitGradient.nbytes`."""
        return self.values.nbytes

    def squares(self) -> torch.Tensor:
        """See `UnitGradient.squares`."""
        return squared_norms(self.values)

    def weighted(self, factors: torch.Tensor) -> torch.Tensor:
        """See `UnitGradient.weighted`. A unit of factor 0 contributes nothing, even where it is not finite."""
        values = self.values
        if not bool(factors.all()):
            values = values[factors != 0]
            factors = factors[factors != 0]
        flat = factors.to(values.dtype) @ values.flatten(1)
        total = flat.reshape(self.values.shape[1:])
        return total if self.order is None else total.permute(self.order)

    def formed(self) -> torch.Tensor:
        """See `UnitGradient.formed`."""
        if self.order is None:
            return self.values
        return self.values.permute(0, *(1 + place for place in self.order))


@dataclass(frozen=True)
class Factored:
    """Gradients as sums of outer products, never formed: unit u's is Σ_r grads[r] inputs[r]ᵀ over its rows.

    Attributes:
        inputs: `[B, R, D]`.
        grads: `[B, R, O]`.
        units: of the B rows.
        shape: of the parameter, D·O values, its dimensions as the factors have them.
        order: how to permute them into the parameter's own; None where they are in it.
    """

    inputs: torch.Tensor
    grads: torch.Tensor
    units: Units
    shape: tuple[int, ...]
    order: tuple[int, ...] | None = None

    @property
    def nbytes(self) -> int:
        """See `UnitGradient.nbytes`."""
        return self.grads.nbytes

    def squares(self) -> torch.Tensor:
        """See `UnitGradient.squares`: from the rows' inner products, in float64, with room for the sum's rounding."""
        lengths = self.inputs.double().square().sum(-1) * self.grads.double().square().sum(-1)
        if self.inputs.shape[1] == 1 and self.units.each == 1:
            return lengths.sum(1)
        whole = self.units.sum(lengths.sqrt().sum(1))
        return (self._products().clamp(min=0).sqrt() + _ROUNDING * whole).square()

    def _products(self) -> torch.Tensor:
        """Return ‖Σ_r g_r x_rᵀ‖² = Σ_rs (g_r·g_s)(x_r·x_s) for every unit."""
        pairs = [(self.inputs[rows], self.grads[rows]) for rows in self.units.slices()]
        each = self.units.each
        if each:
            x = self.inputs.reshape(self.units.count, -1, self.inputs.shape[-1])
            g = self.grads.reshape(self.units.count, -1, self.grads.shape[-1])
            return gram(x, g)
        return torch.cat([gram(x.flatten(0, 1)[None], g.flatten(0, 1)[None]) for x, g in pairs])

    def weighted(self, factors: torch.Tensor) -> torch.Tensor:
        """See `UnitGradient.weighted`."""
        rows = factors.to(self.grads.dtype)[self.units.index]
        kept = rows != 0
        grads, inputs = self.grads, self.inputs
        if not bool(kept.all()):
            grads, inputs, rows = grads[kept], inputs[kept], rows[kept]
        scaled = (grads * rows[:, None, None]).flatten(0, 1)
        total = (scaled.t() @ inputs.flatten(0, 1)).reshape(self.shape)
        return total if self.order is None else total.permute(self.order)

    def formed(self) -> torch.Tensor:
        """See `UnitGradient.formed`."""
        found = outer(self.inputs, self.grads, self.units)
        return Formed(found.reshape(self.units.count, *self.shape), self.order).formed()


@dataclass(frozen=True)
class Scattered:
    """Gradients of an embedding: rows of gradient added at the places of a table.

    Attributes:
        places: `[B, R]`, which row of the table.
        grads: `[B, R, O]`.
        units: of the B rows.
        shape: of the table, `(V, O)`.
    """

    places: torch.Tensor
    grads: torch.Tensor
    units: Units
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """See `UnitGradient.nbytes`."""
        return self.grads.nbytes

    def squares(self) -> torch.Tensor:
        """See `UnitGradient.squares`."""
        each = []
        for rows in self.units.slices():
            places, inverse = torch.unique(self.places[rows], return_inverse=True)
            total = self.grads.new_zeros((len(places), self.shape[1]), dtype=torch.float64)
            total.index_add_(0, inverse.flatten(), self.grads[rows].flatten(0, 1).double())
            each.append(total.square().sum())
        return torch.stack(each) if each else self.grads.new_zeros(0, dtype=torch.float64)

    def weighted(self, factors: torch.Tensor) -> torch.Tensor:
        """See `UnitGradient.weighted`."""
        rows = factors.to(self.grads.dtype)[self.units.index]
        kept = rows != 0
        scaled = (self.grads[kept] * rows[kept][:, None, None]).flatten(0, 1)
        return scaled.new_zeros(self.shape).index_add_(0, self.places[kept].flatten(), scaled)

    def formed(self) -> torch.Tensor:
        """See `UnitGradient.formed`."""
        table = self.grads.new_zeros((self.units.count * self.shape[0], self.shape[1]))
        places = self.places + (self.units.index * self.shape[0])[:, None]
        table.index_add_(0, places.flatten(), self.grads.flatten(0, 1))
        return table.reshape(self.units.count, *self.shape)


@dataclass(frozen=True)
class Rows:
    """Blocks of a parameter, one above the other (the three projections of attention).

    Attributes:
        parts: of the blocks, in order along the first dimension.
    """

    parts: tuple[UnitGradient, ...]

    @property
    def nbytes(self) -> int:
        """See `UnitGradient.nbytes`."""
        return sum(part.nbytes for part in self.parts)

    def squares(self) -> torch.Tensor:
        """See `UnitGradient.squares`."""
        return torch.stack([part.squares() for part in self.parts]).sum(0)

    def weighted(self, factors: torch.Tensor) -> torch.Tensor:
        """See `UnitGradient.weighted`."""
        return torch.cat([part.weighted(factors) for part in self.parts])

    def formed(self) -> torch.Tensor:
        """See `UnitGradient.formed`."""
        return torch.cat([part.formed() for part in self.parts], dim=1)


@dataclass(frozen=True)
class Measured:
    """A gradient whose norms were taken when it was made, while it was in the cache.

    Attributes:
        gradient: of one parameter.
        squares: its squared norms, `[units]` float64.
    """

    gradient: UnitGradient
    squares: torch.Tensor

    @classmethod
    def of(cls, gradient: UnitGradient) -> Measured:
        """Measure a gradient."""
        return cls(gradient, gradient.squares())


def added(parts: Sequence[Measured]) -> Measured:
    """Return the gradient of a parameter that was used more than once."""
    if len(parts) == 1:
        return parts[0]
    return Measured.of(Formed(torch.stack([part.gradient.formed() for part in parts]).sum(0)))


def product(
    inputs: torch.Tensor,
    grads: torch.Tensor,
    units: Units,
    shape: tuple[int, ...],
    order: tuple[int, ...] | None = None,
) -> UnitGradient:
    """Return the gradient of a matrix that maps inputs `[B, R, D]` to outputs `[B, R, O]`.

    `shape` and `order` are those of `Formed` and `Factored`. Factors are kept
    where their inner products cost less than writing and reading the gradients.
    """
    if factors_pay(inputs.shape[1], inputs.shape[-1], grads.shape[-1], units):
        return Factored(inputs, grads, units, shape, order)
    return Formed(outer(inputs, grads, units).reshape(units.count, *shape), order)


def factors_pay(rows: int, wide: int, high: int, units: Units) -> bool:
    """Whether `rows` outer products a row of the batch are best kept as factors of `wide` and `high` values."""
    rows *= max(1, units.rows // max(1, units.count))
    return rows * rows * (wide + high) <= 5 * wide * high
