"""Which rows of a batch belong to which unit of privacy; rows of one unit lie together."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Units:
    """The units of a batch whose rows are ordered by unit.

    Attributes:
        index: `[B]`, the unit, 0 … count − 1, of every row; never falls.
        count: how many units there are.
        bounds: `count + 1` row numbers; unit u owns the rows bounds[u] … bounds[u + 1] − 1.
    """

    index: torch.Tensor
    count: int
    bounds: tuple[int, ...]

    @classmethod
    def of(cls, index: torch.Tensor, count: int) -> Units:
        """Return the units of an ordered index."""
        sizes = torch.bincount(index, minlength=count)
        bounds = [0, *sizes.cumsum(0).tolist()]
        return cls(index, count, tuple(bounds))

    @classmethod
    def single(cls, rows: int, device: torch.device) -> Units:
        """Return units that have one row each."""
        return cls(torch.arange(rows, device=device), rows, tuple(range(rows + 1)))

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.bounds[-1]

    @property
    def each(self) -> int | None:
        """How many rows every unit has; None when they differ."""
        sizes = {stop - start for start, stop in zip(self.bounds, self.bounds[1:], strict=False)}
        return sizes.pop() if len(sizes) == 1 else None

    def slices(self) -> list[slice]:
        """Return the rows of every unit."""
        return [slice(a, b) for a, b in zip(self.bounds, self.bounds[1:], strict=False)]

    def sum(self, rows: torch.Tensor) -> torch.Tensor:
        """Sum `[B, ...]` over the rows of each unit: `[count, ...]`."""
        each = self.each
        if each == 1:
            return rows
        if each:
            return rows.reshape(self.count, each, *rows.shape[1:]).sum(1)
        total = rows.new_zeros((self.count, *rows.shape[1:]))
        return total.index_add_(0, self.index, rows)
