"""Recordings of waveforms; every file is a case, cut into windows from its start to its end."""

from __future__ import annotations

import math
from pathlib import PurePosixPath

from client.data.files import unpack, walk
from client.data.quarantine import QuarantineLog
from client.data.signals.config import SignalDataset
from client.data.signals.labels import FROM_LABELS, Labels, Part
from client.data.signals.source import read_recordings
from client.use.cases import Cases, from_raw
from common.data_spec import SignalSpec

WHOLE = (Part(0.0, math.inf, 0),)


def read(dataset: SignalDataset, spec: SignalSpec) -> Cases:
    """Read all recordings below the path; their names are their paths without ending.

    Raises:
        DataError: there is no such file or folder.
    """
    log = QuarantineLog()
    names = [_bare(file.name) for file in unpack(walk(dataset.path))]
    labels = Labels(
        by_record=True,
        parts=dict.fromkeys(names, WHOLE),
        patients={name: name for name in names},
        splits=None,
    )
    plain = dataset.model_copy(update={"patient": FROM_LABELS, "annotations": None})
    return from_raw(read_recordings(plain, spec, labels, log))


def _bare(name: str) -> str:
    return str(PurePosixPath(name.removesuffix(".gz")).with_suffix(""))
