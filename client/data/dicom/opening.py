"""Opens a DICOM file for seeking; what is packed is unpacked within a bound."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import IO, BinaryIO, cast
from weakref import WeakKeyDictionary

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from client.data.dicom.unusable import Unusable
from client.data.files import File, Reader

MAX_INFLATED = 1 << 29
"""Bytes that a deflated file may become."""
_PREAMBLE = 132
_META = 4096  # the file meta information of every known writer fits in

# The last unpacked file of every reader: the frames of one file follow each other.
_kept: WeakKeyDictionary[Reader, tuple[File, bytes]] = WeakKeyDictionary()


def opened(file: File, reader: Reader) -> IO[bytes]:
    """Open a file, a member of an archive or a deflated file, for seeking.

    Raises:
        Unusable: it would become too large.
        OSError: it cannot be read.
    """
    kept = _kept.get(reader)
    if kept is not None and kept[0] == file:
        return io.BytesIO(kept[1])
    stream = reader.open(file)
    if file.member is not None:
        with stream:
            stream = io.BytesIO(_member(stream, file))
    try:
        plain = inflated(stream)
    except BaseException:
        stream.close()
        raise
    if isinstance(plain, io.BytesIO):
        _kept[reader] = (file, plain.getvalue())
    return plain


def _member(stream: IO[bytes], file: File) -> bytes:
    """Read an archive's member whole, turning a damaged one into OSError."""
    try:
        return stream.read(file.size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise OSError("the archive is damaged") from error


def inflated(stream: IO[bytes]) -> IO[bytes]:
    """Return the stream at its start; a deflated one as if it had been written plainly.

    Raises:
        Unusable: it is damaged, or would become too large.
    """
    stream.seek(0)
    start = stream.read(_META)
    if DeflatedExplicitVRLittleEndian.encode() in start:
        meta, position = _meta(stream)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            stream.seek(position)
            with stream:
                return io.BytesIO(_plain_start() + _unpacked(stream.read()))
    stream.seek(0)
    return stream


def _meta(stream: IO[bytes]) -> tuple[Dataset, int]:
    """Read the file meta information; return it with the position of what follows."""
    stream.seek(_PREAMBLE)
    try:
        meta = read_dataset(cast(BinaryIO, stream), False, True, stop_when=_is_after_meta)
        return meta, stream.tell()
    except Exception:  # pydicom raises many kinds on damaged files
        raise Unusable("damaged header") from None


def _is_after_meta(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group != 2


def _unpacked(content: bytes) -> bytes:
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = machine.decompress(content, MAX_INFLATED)
    except zlib.error:
        raise Unusable("damaged: deflated data") from None
    if machine.unconsumed_tail:
        raise Unusable("too large when it is unpacked")
    return plain


def _plain_start() -> bytes:
    """Preamble and the one element of the meta information that is read."""
    uid = ExplicitVRLittleEndian.encode()
    uid += b"\0" * (len(uid) % 2)
    element = b"\x02\x00\x10\x00UI" + len(uid).to_bytes(2, "little") + uid
    return b"\0" * 128 + b"DICM" + element
