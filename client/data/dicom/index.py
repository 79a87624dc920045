"""Finds the usable slices of a folder of DICOM files."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO

from client.data.dicom.header import Unusable, read_slices
from client.data.dicom.quiet import quiet
from client.data.dicom.slices import Slice
from client.data.files import File, Reader, unpack, walk
from client.data.quarantine import QuarantineLog
from common.errors import DataError


def index(
    path: Path, modality: str, log: QuarantineLog, besides: Collection[Path] = ()
) -> list[Slice]:
    """Read the header of every file below a folder (or of one file, or in a .zip).

    Args:
        path: where the files are.
        modality: the study's; others are left out.
        log: what is left out, and why.
        besides: files that lie there for other reasons (the labels, site.toml).

    Raises:
        DataError: there is no such folder, or nothing in it.
    """
    if not path.exists():
        raise DataError("There is no such folder.", where=str(path), fix="Correct the path.")
    known: set[str] = set()
    found: list[Slice] = []
    others = {str(other) for other in besides}
    with quiet(), Reader() as reader:
        for file in unpack(walk(path, log.add), log.add):
            if file.path in others:
                continue
            try:
                found += _file(file, reader, modality, known)
            except Unusable as reason:
                log.add(file.name, str(reason))
            except OSError:
                log.add(file.name, "cannot be read")
    return found


def _file(file: File, reader: Reader, modality: str, known: set[str]) -> list[Slice]:
    if file.size == 0:
        raise Unusable("empty file")
    with seekable(file, reader) as stream:
        uid, slices = read_slices(file, stream, modality)
    if uid and uid in known:
        raise Unusable("duplicate")
    known.add(uid)
    return slices


def seekable(file: File, reader: Reader) -> IO[bytes]:
    """Open a file for seeking; a member of an archive is read into memory."""
    stream = reader.open(file)
    if file.member is None:
        return stream
    with stream:
        return io.BytesIO(read_member(stream, file))


def read_member(stream: IO[bytes], file: File) -> bytes:
    """Read an archive's member whole, turning a damaged one into OSError."""
    try:
        return stream.read(file.size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise OSError("the archive is damaged") from error
