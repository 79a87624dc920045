"""Reads the header of a slice that is like one just read: same series, another place.

Files of a series differ in their number, their place and their UID only, as far as anything here looks at. If all
other elements are the same bytes as before, so is what they mean: it is taken over instead of being worked out again.
Whatever is unusual (sequences, compressed pixels, other byte orders) is left to the full reader.
"""

from __future__ import annotations

import re
import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from pydicom.datadict import dictionary_VR

from client.data.dicom import header
from client.data.dicom.slices import Geometry, Slice
from client.data.files import File

_START = 132
_SHORT, _LONG = struct.Struct("<HH2sH"), struct.Struct("<I")
_WIDE = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN", b"UT", b"UC", b"UR", b"SQ", b"SV", b"UV"}
_UNDEFINED = 0xFFFFFFFF
_PIXELS = 0x7FE00010
_SEQUENCE_ENDS = 0xFFFEE0DD
_BRACKETS = (
    0xFFFEE000,
    0xFFFEE00D,
    _SEQUENCE_ENDS,
)  # an item begins, an item ends, a sequence ends
_SYNTAX, _EXPLICIT, _IMPLICIT = 0x00020010, b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0"
_PLAIN = (b"UI" + _EXPLICIT, b"UI" + _IMPLICIT)
_UID, _NUMBER, _PLACE = 0x00080018, 0x00200013, 0x00200032
_CHARACTERS = 0x00080005
_WANTED = frozenset({int(tag) for tag in header.TAGS} | {_SYNTAX, _CHARACTERS})
_SEQUENCES = frozenset(tag for tag in _WANTED if dictionary_VR(tag) == "SQ")
_DECIMAL = re.compile(rb" *[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)? *")
_INTEGER = re.compile(rb" *[-+]?[0-9]{1,12} *")
_UID_TEXT = re.compile(rb"[0-9.]{1,64}\0?")
KEPT = 4

Same = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Outline:
    """A header as bytes: what must be the same, and what may differ.

    Attributes:
        same: the elements that are looked at, by tag, without the three that differ.
        uid, number, place: these three.
        offset, length: of the pixels.
    """

    same: Same
    uid: str
    number: int
    place: tuple[float, float, float]
    offset: int
    length: int


class Alike:
    """Remembers the last few slices that were read in full, for those that follow."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, Same, int], tuple[Slice, Outline]] = OrderedDict()

    def find(self, file: File, outline: Outline, size: int, modality: str) -> Slice | None:
        """Return the slice if one alike was read before and the file is whole."""
        known = self._known.get((modality, outline.same, outline.length))
        if known is None or outline.offset + outline.length > size + 1:
            return None
        like, of = known
        if like.geometry is None or like.native is None:
            return None
        place = Geometry(np.array(outline.place), like.geometry.across, like.geometry.down)
        native = replace(like.native, offset=like.native.offset + outline.offset - of.offset)
        instance = like.instance + outline.number - of.number
        return replace(like, file=file, geometry=place, native=native, instance=instance)

    def keep(self, outline: Outline, found: list[Slice], modality: str) -> None:
        """Remember what the full reader made of an outline."""
        if len(found) == 1 and found[0].geometry is not None and found[0].native is not None:
            self._known[modality, outline.same, outline.length] = (found[0], outline)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)


def outline(content: bytes) -> Outline | None:
    """Return the outline of a file's content; nothing where the header is not of the plain kind."""
    if content[128:_START] != b"DICM":
        return None
    same: list[tuple[int, bytes]] = []
    differing: dict[int, bytes] = {}
    last = inside = 0
    for tag, vr, position, length in _elements(content):
        if tag in _BRACKETS:
            inside -= tag == _SEQUENCE_ENDS
        elif length == _UNDEFINED and vr in (b"SQ", b"") and tag not in _WANTED and tag != _PIXELS:
            inside += 1
        elif length == _UNDEFINED:
            return None
        elif not inside:
            if tag <= last or inside < 0:
                return None
            if tag == _PIXELS:
                same.append((tag, vr))
                return _outline(same, differing, position, length)
            if tag in _SEQUENCES:
                return None
            if tag in (_UID, _NUMBER, _PLACE):
                differing[tag] = content[position : position + length]
            elif tag in _WANTED:
                same.append((tag, vr + content[position : position + length]))
            last = tag
    return None


def _elements(content: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield (tag, VR, offset and length of the value) one after the other, those inside open sequences too."""
    position, end, explicit = _START, len(content), True
    while position + 12 <= end:
        group, element, vr, length = _SHORT.unpack_from(content, position)
        tag, start, position = group << 16 | element, position, position + 8
        if group == 0xFFFE or not (explicit or group == 2):
            vr, (length,) = b"", _LONG.unpack_from(content, start + 4)
        elif vr in _WIDE:
            (length,) = _LONG.unpack_from(content, position)
            position += 4
        elif not (vr.isalpha() and vr.isupper()):
            return
        yield tag, vr, position, length
        if tag == _SYNTAX:
            explicit = content[position : position + length] == _EXPLICIT
        position += 0 if length == _UNDEFINED else length


def _outline(
    same: list[tuple[int, bytes]], differing: dict[int, bytes], offset: int, length: int
) -> Outline | None:
    if dict(same).get(_SYNTAX) not in _PLAIN or len(differing) != 3:
        return None
    uid, number, place = differing[_UID], differing[_NUMBER], differing[_PLACE].split(b"\\")
    if not (_UID_TEXT.fullmatch(uid) and _INTEGER.fullmatch(number) and len(place) == 3):
        return None
    if not all(_DECIMAL.fullmatch(part) for part in place):
        return None
    x, y, z = (float(part) for part in place)
    if not np.isfinite((x, y, z)).all():
        return None
    text = uid.rstrip(b"\0").decode("ascii")
    return Outline(tuple(same), text, int(number), (x, y, z), offset, length)
