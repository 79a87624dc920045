"""States to decide in: every row of a table is one, whatever came before it."""

from __future__ import annotations

import numpy as np

from client.data.episodes.config import EpisodeDataset
from client.data.episodes.source import new_states
from client.use.cases import Cases
from common.data_spec import EpisodeSpec


def read(dataset: EpisodeDataset, spec: EpisodeSpec) -> Cases:
    """Read the states; each stands at the start of an episode of its own, and its case is the patient.

    Raises:
        DataError: the table cannot be read or lacks a column.
    """
    states, rows = new_states(dataset, spec)
    number: dict[str, int] = {}
    case = [number.setdefault(patient, len(number)) for patient in states.patients]
    return Cases(
        inputs=states.inputs,
        case=np.array(case, np.int64),
        names=list(number),
        about={"row": rows.tolist()},
        quarantine=states.quarantine,
        notes=states.notes,
    )
