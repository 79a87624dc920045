"""Readings over time: a forecast at every reading before which the history is complete."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from client.data.config import SeriesDataset
from client.data.quarantine import QuarantineLog
from client.data.readings import recordings
from client.data.series import histories
from client.data.times import MINUTES
from client.use.cases import Cases
from common.data_spec import SeriesSpec


def read(dataset: SeriesDataset, spec: SeriesSpec) -> Cases:
    """Cut every recording into the windows that end at a reading.

    Raises:
        DataError: no file is usable.
    """
    log = QuarantineLog()
    number: dict[str, int] = {}
    windows = [np.empty((0, spec.input_shape[0]), np.float32)]
    case: list[int] = []
    times: list[str] = []
    for recording in recordings(dataset, log, spec.unit):
        found = list(histories(recording, spec, log))
        if not found:
            log.add("a recording", "no complete window")
        for minutes, window in found:
            own = number.setdefault(recording.patient, len(number))
            case += [own] * len(window)
            times += _told(minutes, dataset.time_unit)
            windows.append(window)
    return Cases(
        inputs=np.concatenate(windows)[..., None],
        case=np.array(case, np.int64),
        names=list(number),
        about={"time": times},
        quarantine=log.result(),
    )


def _told(minutes: NDArray[np.float64], unit: str | None) -> list[str]:
    """Return times on the site's own clock: in its unit, or as dates."""
    if unit is not None:
        return [f"{round(value / MINUTES[unit], 6):.15g}" for value in minutes]
    return [
        datetime.fromtimestamp(value * 60, UTC).strftime("%Y-%m-%dT%H:%M:%S") for value in minutes
    ]
