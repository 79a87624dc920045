"""What a compressed frame says of its own size, read before any decoder makes room for it.

A few bytes can claim an image of gigabytes. The header's size has been checked already, so a frame
is decoded only if it claims the very same.
"""

from __future__ import annotations

import struct

from client.data.dicom.unusable import Unusable

Size = tuple[int, int, int]
"""Rows, columns, samples a pixel."""
_NO_SIZE = {0xC4, 0xC8, 0xCC}  # tables between the frame markers C0 to CF
_ALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}  # markers without a length
_J2K = b"\xff\x4f\xff\x51"
_SIGN = 42  # where, after the start of a codestream, the first component's depth and sign stand
_JP2 = b"\x00\x00\x00\x0cjP  "


def check(frame: bytes, rows: int, columns: int, samples: int) -> None:
    """Refuse a JPEG, JPEG-LS or JPEG 2000 frame of another size than the header's.

    Raises:
        Unusable: with the reason.
    """
    try:
        found = _size(frame)
    except (struct.error, IndexError):
        found = None
    if found is None:
        raise Unusable("damaged: compressed pixels")
    if found != (rows, columns, samples):
        raise Unusable("compressed size differs from the header")


def is_signed(frame: bytes) -> bool:
    """Tell whether a JPEG 2000 frame says that its numbers are signed; others do not say."""
    start = frame.find(_J2K)
    return 0 <= start < len(frame) - _SIGN and bool(frame[start + _SIGN] & 0x80)


def _size(frame: bytes) -> Size | None:
    if frame.startswith(_JP2):
        return _jp2(frame)
    if frame.startswith(_J2K):
        return _j2k(frame, 0)
    return _jpeg(frame) if frame.startswith(b"\xff\xd8") else None


def _jp2(frame: bytes) -> Size | None:
    """Find the codestream among the boxes of a .jp2 file."""
    place = 0
    while place + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, place)
        if kind == b"jp2c":
            start = place + (16 if length == 1 else 8)
            return _j2k(frame, start) if frame.startswith(_J2K, start) else None
        if length < 8:
            return None
        place += length
    return None


def _j2k(frame: bytes, start: int) -> Size:
    right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
    (samples,) = struct.unpack_from(">H", frame, start + 40)
    return bottom - top, right - left, samples


def _jpeg(frame: bytes) -> Size | None:
    place = 2
    while place + 4 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
        elif marker in _ALONE:
            place += 2
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_SIZE):
            rows, columns, samples = struct.unpack_from(">HHB", frame, place + 5)
            return rows, columns, samples
        else:
            (length,) = struct.unpack_from(">H", frame, place + 2)
            place += 2 + max(length, 2)
    return None
