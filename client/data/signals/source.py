"""Signals: windows of waveforms on one grid, with the class of the recording or of a part of it."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from client.data import parquet
from client.data.files import Reader, unpack, walk
from client.data.quarantine import QuarantineLog
from client.data.samples import RawSamples
from client.data.signals.annotated import Annotated
from client.data.signals.config import SignalDataset
from client.data.signals.cut import windows
from client.data.signals.edf import read_edf
from client.data.signals.labels import FROM_LABELS, Labels, Part, read_labels
from client.data.signals.resample import possible, resampled
from client.data.signals.text import TextFormatReader
from client.data.signals.waveform import Folder, Format, UnusableRecording, Waveform, find
from client.data.signals.wfdb import read_wfdb, segment_headers
from client.data.units import Conversion, between, conversion
from common.data_spec import Quantity, SignalSpec
from common.errors import DataError, StudyError

_EDF = (".edf", ".bdf", ".rec")
_TEXT = (".csv", ".csv.gz", ".tsv", ".txt", *parquet.ENDINGS)


class SignalSource:
    """Reads `kind = "signals"`."""

    def load(
        self, dataset: SignalDataset, spec: SignalSpec, classes: Sequence[str] | None
    ) -> RawSamples:
        """Read the recordings and cut them into windows (see `Source.load`)."""
        if classes is None:
            raise StudyError("Signals have classes, but the task has none.", where="[task]")
        if not dataset.path.exists():
            raise DataError("There is no such file or folder.", where=str(dataset.path))
        log = QuarantineLog()
        annotated = Annotated(dataset, spec, classes) if dataset.annotations else None
        return read_recordings(dataset, spec, read_labels(dataset, classes, log), log, annotated)


def read_recordings(
    dataset: SignalDataset,
    spec: SignalSpec,
    labels: Labels,
    log: QuarantineLog,
    annotated: Annotated | None = None,
) -> RawSamples:
    """Read the recordings that the labels name and cut them into windows."""
    reading = _Reading(dataset, spec, labels, log, annotated)
    with Reader() as reader:
        reading.run(reader)
    return reading.result()


class _Reading:
    """One pass over the recordings."""

    def __init__(
        self,
        dataset: SignalDataset,
        spec: SignalSpec,
        labels: Labels,
        log: QuarantineLog,
        annotated: Annotated | None,
    ) -> None:
        self._annotated = annotated
        self._dataset, self._spec, self._labels, self._log = dataset, spec, labels, log
        self._inputs = [np.empty((0, *spec.input_shape), np.float32)]
        self._targets: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        self._patients: list[str] = []
        self._impossible = dict.fromkeys((channel.name for channel in spec.channels), 0)

    def run(self, reader: Reader) -> None:
        """Read every recording; one that cannot be used is left out."""
        found = unpack(walk(self._dataset.path, self._log.add), self._log.add)
        labels = str(self._dataset.labels)
        files = {file.name: file for file in found if file.path != labels}
        folder = Folder(files, reader)
        names = [name for name in files if format_of(name, self._dataset) and self._is_ours(name)]
        segments = segment_headers([name for name in names if _ending(name) == ".hea"], folder)
        names = [name for name in names if name not in segments]
        keys = _keys(names, self._labels)
        for name in names:
            try:
                self._add(name, keys.get(name), folder)
            except UnusableRecording as error:
                self._log.add(name, f"recording: {error}")

    def result(self) -> RawSamples:
        """Return what was cut."""
        notes = [
            f"'{name}': {count} samples are impossible and count as lost."
            for name, count in self._impossible.items()
            if count
        ]
        for what, count in (self._annotated.counts if self._annotated else {}).items():
            notes.append(f"{count} annotations of {what} are no class of the study.")
        return RawSamples(
            inputs=np.concatenate(self._inputs),
            targets=np.concatenate(self._targets),
            patients=self._patients,
            splits=self._labels.splits,
            quarantine=self._log.result(),
            notes=tuple(notes),
        )

    def _is_ours(self, name: str) -> bool:
        return self._dataset.files is None or fnmatch.fnmatch(name, self._dataset.files)

    def _add(self, name: str, key: str | None, folder: Folder) -> None:
        patient = _patient(name, key, self._dataset, self._labels)
        parts = self._parts(name, (key if self._labels.by_record else patient) or "", folder)
        if not parts or patient is None:
            raise UnusableRecording("it has no label")
        if self._labels.splits is not None and patient not in self._labels.splits:
            raise UnusableRecording("its patient is in no split")
        inputs, targets = windows(self._grid(name, folder), parts, self._spec)
        if len(targets) == 0:
            raise UnusableRecording("it has no complete window")
        self._inputs.append(inputs)
        self._targets.append(targets)
        self._patients += [patient] * len(targets)

    def _parts(self, name: str, key: str, folder: Folder) -> Sequence[Part]:
        """Return the labelled parts of a recording; none where the table does not know it."""
        known = self._labels.parts.get(key, ())
        if self._annotated is None or key not in self._labels.parts:
            return known
        return self._annotated.parts(name, folder)

    def _grid(self, name: str, folder: Folder) -> NDArray[np.float32]:
        """Return all channels at the study's rate, [N, C]."""
        read = format_of(name, self._dataset)
        wanted = [self._dataset.local(channel.name) for channel in self._spec.channels]
        waveform = read(name, folder, wanted) if read else {}
        columns = [self._channel(waveform, quantity) for quantity in self._spec.channels]
        shortest = min(map(len, columns))
        return np.stack([column[:shortest] for column in columns], axis=1)

    def _channel(self, waveform: Waveform, quantity: Quantity) -> NDArray[np.float32]:
        label = find(self._dataset.local(quantity.name), waveform.keys())
        if label is None:
            raise UnusableRecording(f"it has no channel '{quantity.name}'")
        unit = self._unit(quantity, waveform[label].unit)
        channel, impossible = possible(waveform[label], unit, quantity)
        self._impossible[quantity.name] += impossible
        return resampled(channel, self._spec.sampling_hz, self._spec.max_gap_seconds)

    def _unit(self, quantity: Quantity, stated: str) -> Conversion:
        """What the site says comes before what the recording says."""
        text, where = self._dataset, str(self._dataset.path)
        if quantity.name in {*text.units, *text.scale, *text.offset}:
            return conversion(quantity.name, quantity.unit, text, where=where)
        try:
            return between(stated, quantity.unit, name=quantity.name, where=where)
        except DataError:
            reason = f"the unit of '{quantity.name}' cannot be converted to {quantity.unit}"
            raise UnusableRecording(reason) from None


def _ending(name: str) -> str:
    return PurePosixPath(name).suffix.casefold()


def format_of(name: str, dataset: SignalDataset) -> Format | None:
    """Return what reads the recording that a file begins; nothing for other files."""
    if _ending(name) == ".hea":
        return read_wfdb
    if _ending(name) in _EDF:
        return read_edf
    return TextFormatReader(dataset) if name.casefold().endswith(_TEXT) else None


def _bare(name: str) -> str:
    """Return the path without its ending."""
    return str(PurePosixPath(name.removesuffix(".gz")).with_suffix(""))


def _keys(names: Sequence[str], labels: Labels) -> dict[str, str]:
    """Find each recording's key among the labels: its path without ending, or its last part if no other has it."""
    stems = {name: PurePosixPath(_bare(name)).name for name in names}
    often = Counter(stems.values())
    found = {}
    for name, stem in stems.items():
        if _bare(name) in labels.parts:
            found[name] = _bare(name)
        elif stem in labels.parts and often[stem] == 1:
            found[name] = stem
    return found


def _patient(name: str, key: str | None, dataset: SignalDataset, labels: Labels) -> str | None:
    if dataset.patient == FROM_LABELS:
        return labels.patients.get(key or "")
    path = PurePosixPath(_bare(name))
    return (path.name if dataset.patient == "<file>" else path.parent.name) or None
