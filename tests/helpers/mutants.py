"""DICOM files broken in every way that disks, networks and malice break them; the same for the same seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

HUGE = (
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\xfe\xff\xff\xff",
    b"\0" * 4,
)
SHARED = ("transfer_syntaxes", "malformed", "multiframe", "enhanced", "private_tags", "seg_dcmqi")


def genuine(encoding: str = ExplicitVRLittleEndian, **changes: object) -> bytes:
    """Return a small CT file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(encoding), str(changes)])
    plain = encoding in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
    meta.TransferSyntaxUID = encoding if plain else ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    pixels = (np.arange(1024, dtype=np.uint16) * 3).reshape(32, 32)
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": "1.2.3.4",
        "Modality": "CT",
        "PatientID": "zz-fuzz",
        "InstanceNumber": 1,
        "ImagePositionPatient": [0, 0, 0],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [1, 1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 32,
        "Columns": 32,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
    }
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    if encoding in (RLELossless, JPEGLSLossless):
        dataset.compress(encoding)
    elif (
        encoding == JPEG2000Lossless
    ):  # a code stream's start only: the sizes in it are what decoders trust
        meta.TransferSyntaxUID = JPEG2000Lossless
        dataset.PixelData = encapsulate([_code_stream(32, 32)])
        dataset["PixelData"].VR = "OB"
    for name, value in changes.items():
        setattr(dataset, name, value)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def originals(shared: Path | None) -> list[bytes]:
    """Return files to break: generated ones, and the small real ones where they are."""
    encodings = (
        *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian),
        *(RLELossless, JPEGLSLossless, JPEG2000Lossless),
    )
    found = [genuine(encoding) for encoding in encodings]
    found += [genuine(WindowCenter=40, WindowWidth=400), genuine(NumberOfFrames=1), nested(3)]
    if shared is not None:
        paths = [path for name in SHARED for path in sorted((shared / "dicom" / name).iterdir())]
        found += [path.read_bytes() for path in paths if path.stat().st_size < 600_000]
    return found


def nested(levels: int) -> bytes:
    """Return a file with sequences inside sequences."""
    inner = Dataset()
    inner.PatientID = "zz-inner"
    for _ in range(levels):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([inner])
        inner = outer
    return genuine(ReferencedStudySequence=Sequence([inner]))


def deep(levels: int) -> bytes:
    """Return a file with so many open sequences that a reader which calls itself runs out of stack."""
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    sequence = b"\x08\x00\x10\x11SQ\0\0\xff\xff\xff\xff"
    content = genuine()
    at = content.index(b"\x10\x00\x20\x00LO")
    return content[:at] + (sequence + item) * levels + content[at:]


def bombs() -> list[bytes]:
    """Return small files that say they are enormous, or become so."""
    packed = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    start = genuine(DeflatedExplicitVRLittleEndian)
    at = start.index(b"1.2.840.10008.1.2.1.99") + 22
    while start[at : at + 2] == b"\0\0":
        at += 1
    zeros = b"".join(packed.compress(b"\0" * (1 << 24)) for _ in range(48)) + packed.flush()
    many = genuine(Rows=65535, Columns=65535)
    return [
        start[:at] + zeros,
        many,
        genuine(NumberOfFrames="2147483647"),
        genuine(RLELossless, Rows=8000, Columns=8000),
        genuine(JPEGLSLossless, Rows=8000, Columns=8000),
        genuine(JPEG2000Lossless).replace(_code_stream(32, 32), _code_stream(60000, 60000)),
        genuine(BitsAllocated=32, BitsStored=32, HighBit=31, Rows=8000, Columns=8000),
        deep(5000),
    ]


def mutants(count: int, seed: int, shared: Path | None = None) -> Iterator[bytes]:
    """Yield `count` broken files; the first ones are the bombs."""
    dice = random.Random(seed)
    whole = originals(shared)
    special = bombs()[:count]
    yield from special
    for number in range(count - len(special)):
        # Half of them are generated CT files, whose header is right: so more of the damage meets a decoder.
        broken = bytearray(dice.choice(whole[:9] if number % 2 else whole))
        _own_uid(broken, number)
        for _ in range(dice.choice((1, 1, 1, 2, 5))):
            if broken:
                dice.choice((_flip, _cut, _length, _repeat, _insert, _number))(broken, dice)
        yield bytes(broken)


def _own_uid(broken: bytearray, number: int) -> None:
    """Give a file a UID of its own, or it would be left out as a duplicate."""
    at = broken.find(b"\x08\x00\x18\x00")
    length = int.from_bytes(broken[at + 6 : at + 8], "little")
    if at >= 0 and broken[at + 4 : at + 6] == b"UI" and 16 < length < 65:
        broken[at + length - 2 : at + 6 + length] = f"{number:08d}".encode()


def _place(broken: bytearray, dice: random.Random) -> int:
    """Choose a place, more often in the header than in the pixels."""
    return dice.randrange(min(len(broken), dice.choice((2000, 2000, len(broken)))))


def _flip(broken: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 8, 100))):
        broken[_place(broken, dice)] ^= 1 << dice.randrange(8)


def _cut(broken: bytearray, dice: random.Random) -> None:
    del broken[_place(broken, dice) :]


def _length(broken: bytearray, dice: random.Random) -> None:
    at = _place(broken, dice)
    broken[at : at + 4] = dice.choice(HUGE)


def _repeat(broken: bytearray, dice: random.Random) -> None:
    at = _place(broken, dice)
    broken[at:at] = broken[at : at + dice.randrange(1, 200)] * dice.choice((1, 10))


def _insert(broken: bytearray, dice: random.Random) -> None:
    at = _place(broken, dice)
    kind = dice.choice((b"SQ", b"UN", b"OB", b"UT"))
    length = dice.choice((*HUGE, struct.pack("<I", 20)))
    broken[at:at] = b"\x08\x00\x40\x11" + kind + b"\0\0" + length + dice.randbytes(20)


def _number(broken: bytearray, dice: random.Random) -> None:
    """Overwrite the value of an image's size, depth or frames."""
    element = dice.choice((0x02, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103))
    at = broken.find(struct.pack("<HH", 0x28, element))
    if at >= 0:
        broken[at + 8 : at + 10] = dice.choice((b"\xff\xff", b"\0\0", b"\x01\0", b"\0\x80"))


def _code_stream(rows: int, columns: int) -> bytes:
    """Return the main header of a JPEG 2000 code stream, and no data."""
    size = struct.pack(
        ">HHIIIIIIIIHBBB", 41, 0, columns, rows, 0, 0, columns, rows, 0, 0, 1, 15, 1, 1
    )
    return b"\xff\x4f\xff\x51" + size + b"\xff\xd9"
