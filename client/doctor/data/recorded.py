"""Some values out of folders of recordings: readings over time, and waveforms."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from client.data import tabular
from client.data.units import between, conversion
from client.doctor.data.patients import is_one_table
from common.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from client.data.config import SeriesDataset
    from client.data.files import File
    from client.data.signals.config import SignalDataset
    from client.data.signals.waveform import Waveform
    from common.data_spec import Quantity, SignalSpec

FILES = 8
"""Recordings that are looked at, spread over all."""
SAMPLES = 20_000
"""Of one channel of a recording."""


def readings(config: SeriesDataset, rows: int) -> Iterator[Any]:
    """Yield the column of readings of the one table, or of some of many.

    Args:
        config: the data set.
        rows: of a table, at most.

    Raises:
        DataError: the one table cannot be read.
    """
    from client.data.files import Reader
    from client.data.readings import is_ours, read_file

    if is_one_table(config.path):
        block = next(iter(tabular.blocks(config.path, config, [config.value], rows=rows)))
        if config.value in block.columns:
            yield block[config.value]
        return
    with Reader() as reader:
        ours = [file for file in _files(config.path).values() if is_ours(file, config)]
        for file in _some(ours):
            try:
                block = read_file(file, reader, config, [config.value], where=str(config.path))
            except (DataError, OSError):
                continue  # the cohort says that it is left out
            if config.value in block.columns:
                yield block[config.value][:rows]


def _files(root: Path) -> dict[str, File]:
    from client.data.files import unpack, walk

    return {file.name: file for file in unpack(walk(root))}


def _some(files: Sequence[File]) -> Sequence[File]:
    return files[:: max(1, -(-len(files) // FILES))]


def channels(
    config: SignalDataset, spec: SignalSpec, where: str
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Yield some values of each channel of some recordings, in the study's unit, with the study's name of it.

    Args:
        config: the data set.
        spec: what the study asks for.
        where: for messages.
    """
    for waveform in _waveforms(config, spec):
        for each in spec.channels:
            values = _channel(waveform, each, config, where)
            if values is not None:
                yield each.name, values


def _waveforms(config: SignalDataset, spec: SignalSpec) -> Iterator[Waveform]:
    from client.data.files import Reader
    from client.data.signals.source import format_of
    from client.data.signals.waveform import Folder, UnusableRecording

    wanted = [config.local(channel.name) for channel in spec.channels]
    files = {n: f for n, f in _files(config.path).items() if f.path != str(config.labels)}
    pattern = config.files or "*"
    ours = [f for n, f in files.items() if format_of(n, config) and fnmatch.fnmatch(n, pattern)]
    with Reader() as reader:
        folder = Folder(files, reader)
        for file in _some(ours):
            read = format_of(file.name, config)
            try:
                yield read(file.name, folder, wanted) if read else {}
            except UnusableRecording:
                continue  # the cohort says that it is left out


def _channel(
    waveform: Waveform, each: Quantity, config: SignalDataset, where: str
) -> NDArray[np.float64] | None:
    """Return some of a channel's values; nothing where there is none, or its unit is another dimension's."""
    import numpy as np

    from client.data.signals.waveform import find

    label = find(config.local(each.name), waveform.keys())
    if label is None:
        return None
    channel = waveform[label]
    try:
        if each.name in {*config.units, *config.scale, *config.offset}:
            unit = conversion(each.name, each.unit, config, where=where)
        else:
            unit = between(channel.unit, each.unit, name=each.name, where=where)
    except DataError:
        return None  # the cohort says so
    chosen = channel.values[:: max(1, -(-len(channel.values) // SAMPLES))]
    return chosen.astype(np.float64) * unit.factor + unit.offset
