"""What a source hands to the cohort: samples that still know their patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from client.data.quarantine import NOTHING, Quarantine


@dataclass(frozen=True)
class RawSamples:
    """Samples of a data set, in a meaningful order within each patient.

    Attributes:
        inputs: [N, ...] float32 in [-1, 1].
        targets: [N] int64 classes, or [N, H] float32.
        patients: the N patients' identifiers; they end here.
        splits: "train" or "test" of each patient where the site declares it; none: to be drawn.
        quarantine: what was left out.
        notes: sentences for the site's people; counts only.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[Any]
    patients: Sequence[str] = field(repr=False)
    splits: Mapping[str, str] | None = field(default=None, repr=False)
    quarantine: Quarantine = NOTHING
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """A kind of data set, registered as an entry point in `consilium.sources`."""

    def load(self, dataset: Any, spec: Any, classes: Sequence[str] | None) -> RawSamples:
        """Read everything usable.

        Args:
            dataset: the site's description of the data set.
            spec: what the study asks for.
            classes: names of the task's classes in order; none where there are no classes.

        Raises:
            DataError: the data set as a whole cannot be used.
        """
