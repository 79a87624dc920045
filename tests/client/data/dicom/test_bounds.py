"""Codestream sizes and slices as rows."""

from __future__ import annotations

import struct

import pytest

from client.data.dicom import codestream
from client.data.dicom.unusable import Unusable

SIZ = b"\xff\x4f\xff\x51" + struct.pack(">HHIIII", 41, 0, 70, 50, 6, 2) + b"\0" * 16
SIZ += struct.pack(">H", 1) + b"\x8f\1\1"
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc3\x00\x0b\x10" + struct.pack(">HHB", 48, 64, 1)


@pytest.mark.parametrize(
    "frame", [SIZ, b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x09ftypx\0\0\0\0jp2c" + SIZ, JPEG]
)
def test_sizes(frame: bytes) -> None:
    codestream.check(frame, 48, 64, 1)
    with pytest.raises(Unusable, match="differs"):
        codestream.check(frame, 48, 65, 1)
    with pytest.raises(Unusable, match="damaged"):
        codestream.check(frame[:12], 48, 64, 1)


def test_signs() -> None:
    assert codestream.is_signed(SIZ)
    assert not codestream.is_signed(SIZ.replace(b"\x8f", b"\x0f"))
    assert not codestream.is_signed(JPEG)
