"""New cases, prepared for a network exactly as the study's training data were, but without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.data.dicom.cut import Cut
from client.data.quarantine import NOTHING, Quarantine
from client.data.samples import RawSamples


@dataclass(frozen=True)
class Cases:
    """Samples of cases: patients, rows, recordings, records or images, by kind of data.

    Attributes:
        inputs: [N, ...] float32 in [-1, 1], before the study's steps.
        case: [N] the sample's case, a number from 0.
        names: the house's own names of the cases; they may identify.
        about: what else is known of every sample, [N] each: the time of a window, say.
        cuts: of DICOM images, what every sample was cut from; else empty.
        smiles: of molecules, the SMILES of every sample, [N]; by part of fused data ("" of one that lacks it), else
            under "".
        quarantine: what could not be used.
        notes: sentences about columns that look wrong.
    """

    inputs: NDArray[np.float32] = field(repr=False)
    case: NDArray[np.int64]
    names: Sequence[str] = field(repr=False)
    about: Mapping[str, Sequence[Any]] = field(default_factory=dict, repr=False)
    cuts: Sequence[Cut] = field(default=(), repr=False)
    smiles: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    quarantine: Quarantine = NOTHING
    notes: tuple[str, ...] = ()

    def chosen(self, rows: NDArray[np.int64]) -> Cases:
        """Return some of the samples; the cases keep their numbers."""
        return Cases(
            inputs=self.inputs[rows],
            case=self.case[rows],
            names=self.names,
            about={name: [values[row] for row in rows] for name, values in self.about.items()},
            cuts=[self.cuts[row] for row in rows] if self.cuts else (),
            smiles={part: [each[row] for row in rows] for part, each in self.smiles.items()},
            quarantine=self.quarantine,
            notes=self.notes,
        )


def from_raw(raw: RawSamples) -> Cases:
    """Return what a source read as cases: one a patient, in the order in which they came."""
    number: dict[str, int] = {}
    case = [number.setdefault(name, len(number)) for name in raw.patients]
    return Cases(
        inputs=np.asarray(raw.inputs, np.float32),
        case=np.array(case, np.int64),
        names=list(number),
        quarantine=raw.quarantine,
        notes=raw.notes,
    )
