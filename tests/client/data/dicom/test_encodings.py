"""The 16 encodings of one CT, against the uncompressed original; and what pretends to be larger."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from dicom_kinds import image, save
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from client.data.dicom import dcmtk, opening
from client.data.dicom.unusable import Unusable

Read = Callable[..., Any]
RAMP = (np.arange(64, dtype=np.uint16) * 30).reshape(8, 8)
EXACT = ("4.57", "4.70", "4.80", "4.90", ".2.5", "1.99", "1.2.1", "1.2.2", "10008.1.2")
NEAR = {"4.50": 65.0, "4.51": 36.0, "4.53": 36.0, "4.55": 36.0, "4.81": 2.0, "4.91": 6.0}
"""Largest difference in HU; the lossy ones of 8 and 12 bits were rescaled before they were compressed."""


def test_all_encodings_agree_with_the_original(shared: Path, read: Read) -> None:
    folder = shared / "dicom" / "transfer_syntaxes"
    original = pydicom.dcmread(folder / "CTImage.dcm")
    truth = np.frombuffer(original.PixelData, "<i2").reshape(512, 512).astype(np.float32) - 1024
    compared = 0
    for path in sorted(folder.iterdir()):
        encoding = path.stem.rpartition("_")[2]
        if encoding.endswith(("4.51", "4.53", "4.55")) and not dcmtk.installed():
            with pytest.raises(Unusable, match=r"needs DCMTK .* JPEG"):
                read(path)
            continue
        away = float(np.abs(read(path) - truth).max())
        if path.name == "CTImage.dcm" or encoding.endswith(EXACT):
            assert away == 0.0, path.name
        else:
            assert away <= next(v for k, v in NEAR.items() if encoding.endswith(k)), path.name
        compared += 1
    assert compared >= 13


def test_without_dcmtk_its_encodings_are_refused_by_name(
    shared: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dcmtk, "TOOL", "no-such-tool")
    path = next((shared / "dicom" / "transfer_syntaxes").glob("*4.55.dcm"))
    with pytest.raises(Unusable, match=r"needs DCMTK .*Process 10 and 12"):
        read(path)


@pytest.mark.skipif(not dcmtk.installed(), reason="needs DCMTK (package dcmtk)")
def test_dcmtk_sees_no_identifier(
    shared: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    run = dcmtk.subprocess.run

    def watched(command: list[str], **options: Any) -> Any:
        seen.append(Path(command[1]).read_bytes())
        return run(command, **options)

    monkeypatch.setattr(dcmtk.subprocess, "run", watched)
    path = next((shared / "dicom" / "transfer_syntaxes").glob("*4.51.dcm"))
    read(path)
    patient = str(pydicom.dcmread(path).PatientID).encode()
    assert len(seen) == 1
    assert patient
    assert patient not in seen[0]


def test_the_codestream_is_believed_where_the_header_forgets_the_sign(
    shared: Path, read: Read
) -> None:
    found = read(shared / "dicom" / "malformed" / "TOSHIBA_J2K_SIZ1_PixRep0.dcm")
    assert (found.min(), found.max()) == (-2048, 1717)


@pytest.mark.parametrize("encoding", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_signed_numbers_of_12_bits(tmp_path: Path, read: Read, encoding: str) -> None:
    numbers = (np.arange(64, dtype=np.int16) - 32).reshape(8, 8) * 60
    made = image("a", "CT", numbers, BitsStored=12, HighBit=11)
    if encoding == JPEG2000Lossless:
        made = _packed_with_gdcm(made, tmp_path)
    else:
        made.compress(encoding)
    np.testing.assert_array_equal(read(save(made, tmp_path / "a.dcm")), numbers)


def _packed_with_gdcm(made: pydicom.FileDataset, folder: Path) -> pydicom.FileDataset:
    gdcm = pytest.importorskip("gdcm")
    source, result = str(save(made, folder / "plain")), str(folder / "packed")
    reader = gdcm.ImageReader()
    reader.SetFileName(source)
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEG2000Lossless))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(result)
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return pydicom.dcmread(result)


def test_frames_of_one_file_in_every_form(shared: Path, tmp_path: Path, read: Read) -> None:
    """Five forms of one MR; they name nobody, so a patient is written in."""
    folder = shared / "dicom" / "multiframe"
    truth = pydicom.dcmread(folder / "emri_small.dcm").pixel_array
    names = ("", "_RLE", "_big_endian", "_jpeg_2k_lossless", "_jpeg_ls_lossless")
    for name in names:
        made = pydicom.dcmread(folder / f"emri_small{name}.dcm")
        made.PatientID = "a"
        made.save_as(tmp_path / "a.dcm")
        for frame in (0, 9):
            np.testing.assert_array_equal(read(tmp_path / "a.dcm", "MR", frame), truth[frame])


def test_a_deflated_bomb_is_refused(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "MAX_INFLATED", 1 << 22)
    path = save(image("a", "CT", RAMP), tmp_path / "a.dcm")
    whole = path.read_bytes()
    meta = whole.index(b"\x08\x00\x16\x00")
    start = whole[:meta].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    grown = bytearray(start)
    grown[140:144] = (int.from_bytes(start[140:144], "little") + 2).to_bytes(4, "little")
    place = grown.index(b"\x02\x00\x10\x00UI") + 6
    grown[place : place + 2] = len(DeflatedExplicitVRLittleEndian).to_bytes(2, "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(whole[meta:]) + packer.flush(zlib.Z_SYNC_FLUSH)
    path.write_bytes(bytes(grown) + body + packer.flush())
    np.testing.assert_array_equal(read(path), RAMP)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(whole[meta:] + b"\0" * (1 << 24)) + packer.flush()
    path.write_bytes(bytes(grown) + bomb)
    with pytest.raises(Unusable, match="too large when it is unpacked"):
        read(path)


@pytest.mark.parametrize("encoding", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_a_frame_that_claims_to_be_huge_is_never_decoded(
    tmp_path: Path, read: Read, encoding: str
) -> None:
    made = image("a", "CT", RAMP)
    if encoding == RLELossless:
        made.compress(RLELossless)
        half = 2_000_000
        frame = struct.pack("<16I", 2, 64, 64 + half, *[0] * 13) + b"\x81\0" * half
        expected = None  # far too long, so it is cut
    elif encoding == JPEGLSLossless:
        made.compress(JPEGLSLossless)
        frame = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
        place = frame.index(b"\xff\xf7") + 5
        frame = frame[:place] + b"\xff\xff\xff\xff" + frame[place + 4 :]
        expected = "compressed size differs"
    else:
        made = _packed_with_gdcm(made, tmp_path)
        frame = pydicom.encaps.get_frame(made.PixelData, 0, number_of_frames=1)
        place = frame.index(b"\xff\x4f\xff\x51") + 8
        frame = frame[:place] + b"\0\1\0\0" * 2 + frame[place + 8 :]
        expected = "compressed size differs"
    made.PixelData = encapsulate([frame])
    path = save(made, tmp_path / "bomb.dcm")
    tracemalloc.start()
    try:
        if expected:
            with pytest.raises(Unusable, match=expected):
                read(path)
        else:
            assert read(path).shape == (8, 8)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
