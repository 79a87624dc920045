"""Look-up tables of a header: from stored to modality values, from those to grey, and palettes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from client.data.dicom import frames
from client.data.dicom.elements import read_elements, tags
from client.data.dicom.unusable import Unusable

MAX_ENTRIES = 1 << 16
_KINDS = {"modality": "ModalityLUTSequence", "voi": "VOILUTSequence"}
_COLOURS = ("Red", "Green", "Blue")
_TAGS = {
    "modality": tags("SOPClassUID PixelRepresentation ModalityLUTSequence"),
    "voi": tags(
        "SOPClassUID PixelRepresentation VOILUTSequence SharedFunctionalGroupsSequence "
        "PerFrameFunctionalGroupsSequence"
    ),
    "palette": tags(
        "SOPClassUID PixelRepresentation "
        + " ".join(
            f"{c}PaletteColorLookupTableDescriptor {c}PaletteColorLookupTableData "
            f"Segmented{c}PaletteColorLookupTableData"
            for c in _COLOURS
        )
    ),
}


@dataclass(frozen=True)
class Table:
    """A table of numbers.

    Attributes:
        first: the number that the first entry stands for; what is below gets that entry too.
        entries: what it becomes.
        bits: of an entry.
    """

    first: int
    entries: NDArray[np.float32]
    bits: int

    def of(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        """Look whole numbers up."""
        last = len(self.entries) - 1
        return self.entries[np.clip(numbers.astype(np.int64) - self.first, 0, last)]

    def between(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Look values up on the straight lines between the entries."""
        places = np.arange(len(self.entries), dtype=np.float64) + self.first
        return np.interp(values, places, self.entries).astype(np.float32)


def read_table(stream: IO[bytes], kind: str, frame: int = 0) -> Table:
    """Read the first "modality" or "voi" table of a header.

    Raises:
        Unusable: it is damaged.
    """
    header, _ = read_elements(stream, _TAGS[kind])
    try:
        own = frames.group(header, frame, "FrameVOILUTSequence") if kind == "voi" else Dataset()
        item = (own.get(_KINDS[kind]) or header.get(_KINDS[kind]))[0]
        signed = bool(int(header.get("PixelRepresentation") or 0))
        return _table(item.LUTDescriptor, item["LUTData"].value, signed)
    except Exception:  # whatever pydicom raises when it converts a damaged value
        raise Unusable("damaged: look-up table") from None


def read_palette(stream: IO[bytes]) -> tuple[Table, Table, Table]:
    """Read red, green and blue of a palette.

    Raises:
        Unusable: it is damaged.
    """
    header, _ = read_elements(stream, _TAGS["palette"])
    try:
        red, green, blue = (_colour(header, colour) for colour in _COLOURS)
        return red, green, blue
    except Exception:  # as above
        raise Unusable("damaged: palette") from None


def _colour(header: Dataset, colour: str) -> Table:
    descriptor = header[f"{colour}PaletteColorLookupTableDescriptor"].value
    data = header.get(f"{colour}PaletteColorLookupTableData")
    signed = bool(int(header.get("PixelRepresentation") or 0))
    if data is not None:
        return _table(descriptor, data, signed)
    words = np.frombuffer(header[f"Segmented{colour}PaletteColorLookupTableData"].value, "<u2")
    return _table(descriptor, _segments(words.tolist()), signed)


def _segments(words: list[int]) -> list[int]:
    """Write out a segmented palette: runs of entries, and straight lines to a next entry."""
    found: list[int] = []
    place = 0
    while place < len(words) and len(found) <= MAX_ENTRIES:
        code, length = words[place], words[place + 1]
        if code == 0:
            found += words[place + 2 : place + 2 + length]
            place += 2 + length
        elif code == 1:
            line = np.linspace(found[-1], words[place + 2], length + 1)[1:]
            found += line.round().astype(int).tolist()
            place += 3
        else:
            raise ValueError("unknown segment")
    return found


def _table(descriptor: Any, data: Any, signed: bool) -> Table:
    count, first, bits = (int(number) for number in descriptor)
    count = count or MAX_ENTRIES
    if signed and first >= 1 << 15:
        first -= 1 << 16
    if not 8 <= bits <= 16 or not 0 < count <= MAX_ENTRIES:
        raise ValueError("impossible table")
    numbers = _numbers(data, count)[:count].astype(np.float32)
    if len(numbers) < count:
        raise ValueError("a table that is too short")
    bits = 16 if bits > 8 and numbers.max() >= 1 << bits else bits
    return Table(first, numbers, bits)


def _numbers(data: Any, count: int) -> NDArray[Any]:
    """Read entries of one or of two bytes."""
    if not isinstance(data, bytes):
        return np.array(data, dtype=np.int64).reshape(-1)
    return np.frombuffer(data, np.uint8 if len(data) < 2 * count else "<u2")
