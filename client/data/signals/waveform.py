"""What every reader of recordings returns, and how it says that a recording cannot be used."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from client.data.files import File, Reader

MAX_BYTES = 1 << 31
"""Of one file of samples; it is read whole."""


MAX_SAMPLES = 1 << 27
"""Of one channel: six days at 250 samples a second. A header of a few bytes can ask for more than there is memory."""


class UnusableRecording(Exception):
    """One recording that cannot be used; the reason names no patient."""


@dataclass(frozen=True)
class Channel:
    """One channel of a recording.

    Attributes:
        values: [N] in `unit`, NaN where a sample was lost.
        rate_hz: samples a second.
        unit: as the recording states it; empty: it does not.
    """

    values: NDArray[np.float32] = field(repr=False)
    rate_hz: float
    unit: str = ""


Waveform = Mapping[str, Channel]
"""Channels by the name that the recording gives them; all start at the same moment."""


class Folder:
    """The files of a data set, by name; recordings may consist of several."""

    def __init__(self, files: Mapping[str, File], reader: Reader) -> None:
        self._files = files
        self._reader = reader

    def read(self, name: str) -> bytes:
        """Return a whole file.

        Raises:
            UnusableRecording: there is no such file, or it cannot be read.
        """
        if name not in self._files:
            raise UnusableRecording("a file that its header names is missing")
        file = self._files[name]
        if file.size > MAX_BYTES:
            raise UnusableRecording("too large")
        try:
            with self._reader.open(file) as stream:
                return stream.read(MAX_BYTES)
        except Exception:  # a damaged archive raises many kinds
            raise UnusableRecording("the file cannot be read") from None


class Format(Protocol):
    """A reader of one kind of recording."""

    def __call__(self, name: str, folder: Folder, wanted: Collection[str]) -> Waveform:
        """Read the wanted channels (upper and lower case alike) of the recording that `name` begins.

        Raises:
            UnusableRecording: why it cannot be used.
        """


def find(name: str, names: Collection[str]) -> str | None:
    """Return the one of `names` that is the wanted one; upper and lower case alike if only so."""
    if name in names:
        return name
    alike = [each for each in names if each.casefold() == name.casefold()]
    return alike[0] if len(alike) == 1 else None


def is_wanted(name: str, wanted: Collection[str]) -> bool:
    """Tell whether a recording's channel is one of the wanted ones."""
    return name.casefold() in {each.casefold() for each in wanted}
