"""What of a sample is explained by itself: all of it, or of fused data each part that is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.data.steps.apply import after_steps
from client.explain import baselines
from client.explain.fields import fields_of
from client.explain.molecules import Molecule
from client.explain.question import Question
from client.explain.scores import Score
from common.data_spec import DataSpec, FusedSpec, MoleculeSpec
from common.data_spec.fused import Place
from common.models.fusion import Parts

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """A part of a sample, and what is asked about it.

    Attributes:
        name: of the part; "" of all.
        question: in which all other parts stay as they are.
    """

    name: str
    question: Question


class OnePart(nn.Module):
    """The network for fused samples as one for a part: `[B, *shape]` to `[B, outputs]`, other parts being fixed.

    Args:
        network: for fused samples.
        sample: `[1, W]`, with the other parts.
        place: where the part lies.
    """

    def __init__(self, network: nn.Module, sample: Tensor, place: Place) -> None:
        super().__init__()
        self._network, self._place = network, place
        self._before, self._after = sample[:, : place.start], sample[:, place.end :]

    def forward(self, part: Tensor) -> Tensor:
        """Return the outputs."""
        before, after = (each.expand(len(part), -1) for each in (self._before, self._after))
        outputs: Tensor = self._network(torch.cat([before, part.flatten(1), after], 1))
        return outputs


def views_of(
    spec: DataSpec,
    network: nn.Module,
    score: Score,
    raw: Floats,
    smiles: Mapping[str, str],
    device: torch.device,
) -> Iterator[View]:
    """Yield what is explained of a sample.

    Args:
        spec: the study's `[data]`.
        network: in evaluation mode, on the device.
        score: the number that is explained.
        raw: `[1, *input shape]`, as it was read.
        smiles: of molecules, by part.
        device: where the network runs.

    Raises:
        MachineError, DataError: a molecule cannot be read again.
    """
    if not isinstance(spec, FusedSpec):
        made = (after_steps(raw, spec), baselines.baselines(raw, spec))
        sample, blank = (torch.from_numpy(np.array(part)).to(device) for part in made)
        molecule = _molecule(spec, smiles.get("", ""))
        yield View("", Question(network, score, sample, blank, fields_of(spec), molecule=molecule))
        return
    whole = torch.from_numpy(np.array(raw)).to(device)
    for number, place in enumerate(spec.layout):
        if not raw[0, place.flag]:
            continue
        part = spec.parts[place.name]
        seen = raw[:, place.start : place.end].reshape(1, *place.shape)
        blank = torch.from_numpy(np.array(baselines.of_part(seen, part))).to(device)
        question = Question(
            OnePart(network, whole, place).eval(),
            score,
            torch.from_numpy(np.array(seen)).to(device),
            blank,
            fields_of(part),
            looked_into=_network_of(network, number),
            molecule=_molecule(part, smiles.get(place.name, "")),
        )
        yield View(place.name, question)


def _molecule(spec: DataSpec, smiles: str) -> Molecule | None:
    return Molecule.of(smiles, spec) if isinstance(spec, MoleculeSpec) and smiles else None


def _network_of(network: nn.Module, number: int) -> nn.Module:
    """Return the network of a part, or all of it where parts have none of their own."""
    parts = getattr(network, "parts", None)
    return parts.networks[number] if isinstance(parts, Parts) else network
