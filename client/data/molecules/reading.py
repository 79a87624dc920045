"""Has molecules drawn on all cores, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client.data.molecules import rdkit
from client.data.molecules.drawing import draw
from client.data.molecules.recipe import Recipe
from client.data.workers.pool import Limits, outcomes
from client.data.workers.wire import Outcome, Refused
from common.data_spec import MoleculeSpec

MOST_CHARACTERS = 2000
"""Of a SMILES; a drug has less than 300."""
TOGETHER = 64
"""Molecules of one job."""
LIMITS = Limits(seconds=20)
TOO_LONG = f"SMILES of more than {MOST_CHARACTERS} characters"


@dataclass(frozen=True)
class Drawn:
    """The molecules that could be drawn, in their order.

    Attributes:
        inputs: [n, …] samples.
        rows: [n] their numbers among those given.
        compounds: [n] keys that are the same for every spelling of a compound.
        refused: (number, reason) of the others, in order.
    """

    inputs: NDArray[np.float32] = field(repr=False)
    rows: NDArray[np.int64]
    compounds: Sequence[str] = field(repr=False)
    refused: Sequence[tuple[int, str]]


def draw_all(smiles: Sequence[str], spec: MoleculeSpec) -> Drawn:
    """Draw molecules.

    Args:
        smiles: not trusted.
        spec: the study's `[data]`.

    Raises:
        MachineError: RDKit is not installed.
    """
    rdkit.require()
    recipe = Recipe.of(spec)
    inputs = np.zeros((len(smiles), *spec.input_shape), np.float32)
    keys: dict[int, str] = {}
    refused = {row: TOO_LONG for row, text in enumerate(smiles) if len(text) > MOST_CHARACTERS}
    short = [row for row in range(len(smiles)) if row not in refused]
    jobs = [short[start : start + TOGETHER] for start in range(0, len(short), TOGETHER)]
    again: list[list[int]] = []
    for rows, outcome in _done(jobs, smiles, recipe):
        if isinstance(outcome, Refused):
            again += [[row] for row in rows]  # one of them is to blame: find it
        else:
            _place(rows, outcome, inputs, keys, refused)
    for rows, outcome in _done(again, smiles, recipe):
        _place(rows, outcome, inputs, keys, refused)
    kept = np.array(sorted(keys), np.int64)
    return Drawn(inputs[kept], kept, [keys[row] for row in kept], sorted(refused.items()))


def _done(
    jobs: Sequence[list[int]], smiles: Sequence[str], recipe: Recipe
) -> Iterator[tuple[list[int], Outcome]]:
    """Yield jobs, which are row numbers, with what became of them."""
    sent = ((recipe, [smiles[row] for row in rows]) for rows in jobs)
    for number, outcome in outcomes(draw, sent, LIMITS):
        yield jobs[number], outcome


def _place(
    rows: list[int],
    outcome: Outcome,
    inputs: NDArray[np.float32],
    keys: dict[int, str],
    refused: dict[int, str],
) -> None:
    """Put what a job made into its places."""
    if isinstance(outcome, Refused):
        refused[rows[0]] = f"SMILES that {outcome.reason}"
        return
    kept, compounds, bad = outcome.value
    keys |= {rows[number]: key for number, key in zip(kept, compounds, strict=True)}
    refused |= {rows[number]: reason for number, reason in bad}
    if kept:
        inputs[[rows[number] for number in kept]] = outcome.arrays[0]
