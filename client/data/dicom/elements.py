"""Reads chosen elements of a DICOM file, up to its pixels, whatever state the file is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial

from client.data.dicom.opening import inflated
from client.data.dicom.unusable import Unusable

_PIXELS = 0x7FE00010
_FLOAT, _DOUBLE = 0x7FE00008, 0x7FE00009
_LONG = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")  # their length takes four bytes more
_FIRST = (b"\x02\x00", b"\x08\x00", b"\x00\x08")  # groups that a file without preamble starts with


@dataclass(frozen=True)
class Pixels:
    """Where a file's pixels are.

    Attributes:
        offset: of the first byte of the value.
        length: of the value, as the file states it.
        vr: as the file states it; none where it does not.
        number: "" for whole numbers, "f4" or "f8".
        end: size of the (unpacked) file.
    """

    offset: int
    length: int
    vr: str | None
    number: str
    end: int


def tags(words: str) -> list[Any]:
    """Return the tags of keywords that are separated by blanks."""
    return [tag_for_keyword(word) for word in words.split()]


def read_elements(stream: IO[bytes], wanted: list[Any]) -> tuple[Dataset, Pixels | None]:
    """Read elements that stand before the pixels, and find the pixels.

    Args:
        stream: the file, seekable.
        wanted: tags; others are skipped.

    Raises:
        Unusable: this is no DICOM file, or its header is damaged.
    """
    stream = inflated(stream)
    start = stream.read(132)
    stream.seek(0)
    bare = start[128:] != b"DICM"
    if bare and start[:2] not in _FIRST:
        raise Unusable("not DICOM")
    seen: list[tuple[int, str | None, int]] = []

    def at_pixels(tag: Any, vr: str | None, length: int) -> bool:
        if int(tag) in (_PIXELS, _FLOAT, _DOUBLE):
            seen.append((int(tag), vr, length))
        return int(tag) >= _FLOAT

    try:
        header = read_partial(stream, at_pixels, force=bare, specific_tags=wanted)  # type: ignore[arg-type]
        position = stream.tell()
    except Exception:  # pydicom raises many kinds on damaged files
        raise Unusable("not DICOM" if bare else "damaged header") from None
    if bare and "SOPClassUID" not in header:
        raise Unusable("not DICOM")
    if not seen:
        return header, None
    tag, vr, length = seen[-1]
    number = {_FLOAT: "f4", _DOUBLE: "f8"}.get(tag, "")
    offset = position + (12 if vr in _LONG else 8)
    return header, Pixels(offset, length, vr, number, stream.seek(0, 2))
