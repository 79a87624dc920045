"""Labels from the annotations beside a recording: its rhythms, or its beats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import PurePosixPath

from client.data.signals.config import SignalDataset
from client.data.signals.labels import Part
from client.data.signals.waveform import Folder, UnusableRecording
from client.data.signals.wfdb import frames_per_second
from client.data.signals.wfdb_annotations import Annotation, read_annotations
from common.data_spec import SignalSpec


class Annotated:
    """Reads the labels of recordings from their annotation files.

    Args:
        dataset: the site's description, with the ending of those files.
        spec: what the study asks for.
        classes: names in order.

    Attributes:
        counts: how many rhythms or beats were no class of the study.
    """

    def __init__(self, dataset: SignalDataset, spec: SignalSpec, classes: Sequence[str]) -> None:
        self._ending, self._what = dataset.annotations, dataset.annotated
        self._replace: Mapping[str, object] = dataset.replace.get("label", {})
        self._spec = spec
        self._numbers = {name: number for number, name in enumerate(classes)}
        self.counts: Counter[str] = Counter()

    def parts(self, name: str, folder: Folder) -> list[Part]:
        """Return the labelled parts of the recording that a header begins.

        Raises:
            UnusableRecording: it is no WFDB record, or its annotations cannot be read.
        """
        if PurePosixPath(name).suffix.casefold() != ".hea":
            raise UnusableRecording("annotations belong to WFDB records only")
        file = str(PurePosixPath(name).with_suffix(f".{self._ending}"))
        found = read_annotations(folder.read(file), frames_per_second(name, folder))
        return [*(self._beats(found) if self._what == "beats" else self._rhythms(found))]

    def _rhythms(self, found: Sequence[Annotation]) -> list[Part]:
        """From each change of rhythm to the next."""
        changes = [(each.seconds, each.rhythm) for each in found if each.rhythm is not None]
        spans = pairwise([*changes, (float("inf"), "")])
        numbered = ((start, end, self._number(word)) for (start, word), (end, _) in spans)
        return [Part(start, end, n) for start, end, n in numbered if n is not None and start < end]

    def _beats(self, found: Sequence[Annotation]) -> list[Part]:
        """One window of the study round each beat, on its grid."""
        rate, length = self._spec.sampling_hz, self._spec.input_shape[0]
        parts = []
        for each in found:
            number = None if each.beat is None else self._number(each.beat)
            first = round(each.seconds * rate - length / 2)
            if number is not None and first >= 0:
                parts.append(Part(first / rate, (first + length) / rate, number))
        return parts

    def _number(self, word: str) -> int | None:
        """Return a word's class, after the site's `replace`."""
        name = str(self._replace.get(word, word))
        if name not in self._numbers:
            self.counts[self._what] += 1
        return self._numbers.get(name)
