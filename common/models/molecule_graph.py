"""A network over the atoms and bonds of a molecule.

Messages along bonds with weights of each kind of bond (Schlichtkrull et al. 2018, "Modeling relational data with graph
convolutional networks"), summed over an atom's neighbours and over all atoms, since a sum tells molecules apart that a
mean confuses (Xu et al. 2019, "How powerful are graph neural networks?").
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from common.data_spec import MoleculeSpec, Spec
from common.data_spec.molecules import ATOM_WIDTH, BONDS
from common.errors import StudyError
from common.models.base import ModelOptions, Width

USUAL_ATOMS = 20.0
"""Public divisor of the sum over atoms, so that it starts at the size of a mean."""


class MoleculeGraphOptions(ModelOptions):
    """Options of `molecule-graph`.

    Attributes:
        width: of what is known of an atom.
        layers: rounds of messages; so many bonds far does an atom see.
    """

    width: Width = 32
    layers: int = Field(default=3, ge=1, le=16)


class Messages(nn.Module):
    """One round of messages: what is known of atoms `[B, A, width]` to the same shape.

    Every weight acts on one atom at a time, so that its gradient of one molecule is known to every engine.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.of_neighbours = nn.Linear(len(BONDS) * width, width, bias=False)
        self.of_itself = nn.Linear(width, width)

    def forward(self, atoms: Tensor, bonds: Tensor) -> Tensor:
        """Return what is known of atoms after they heard from their neighbours.

        Args:
            atoms: `[B, A, width]`.
            bonds: `[B, A, kinds, A]`, 1 where a bond is; none touches a row without an atom.
        """
        normed = self.norm(atoms)
        heard = torch.einsum("bakn,bnw->bakw", bonds, normed).flatten(2)
        new: Tensor = atoms + torch.tanh(self.of_neighbours(heard) + self.of_itself(normed))
        return new


class MoleculeGraphNetwork(nn.Module):
    """Graphs `[B, A, ATOM_WIDTH + 4 A]` to `[B, outputs]`.

    Neither the order of the atoms nor empty rows change a result.
    """

    def __init__(self, options: MoleculeGraphOptions, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Linear(ATOM_WIDTH, options.width)
        self.rounds = nn.ModuleList(Messages(options.width) for _ in range(options.layers))
        self.mix = nn.Linear(2 * options.width, options.width)
        self.head = nn.Linear(options.width, outputs)

    def forward(self, graphs: Tensor) -> Tensor:
        """Return `[B, outputs]`."""
        known = graphs[:, :, :ATOM_WIDTH]
        bonds = graphs[:, :, ATOM_WIDTH:].unflatten(2, (len(BONDS), graphs.shape[1]))
        there = known[:, :, :1]
        atoms = torch.tanh(self.embed(known))
        for messages in self.rounds:
            atoms = messages(atoms, bonds)
        total = (atoms * there).sum(1)
        mean = total / there.sum(1).clamp(min=1.0)
        outputs: Tensor = self.head(torch.tanh(self.mix(torch.cat([mean, total / USUAL_ATOMS], 1))))
        return outputs


class MoleculeGraph:
    """Graph network for `[data] kind = "molecules"` with `representation = "graph"`."""

    Options = MoleculeGraphOptions
    of_parts = True

    @staticmethod
    def build_for(options: MoleculeGraphOptions, data: Spec, outputs: int) -> nn.Module:
        """Return the network.

        Raises:
            StudyError: the samples are no graphs.
        """
        if not isinstance(data, MoleculeSpec) or data.representation != "graph":
            raise StudyError(
                "Model 'molecule-graph' takes graphs of molecules, and the study's samples are none.",
                where="[model] name and [data]",
                fix='Give [data] kind = "molecules" and representation = "graph", or choose another model.',
            )
        return MoleculeGraphNetwork(options, outputs)
