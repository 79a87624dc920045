"""What a worker does with one file: hash its content and read its header."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from typing import IO, Any

from client.data.dicom.header import read_slices
from client.data.dicom.opening import opened
from client.data.dicom.quiet import quiet
from client.data.dicom.slices import Slice
from client.data.dicom.unusable import Unusable
from client.data.files import File, Reader
from client.data.index.alike import Alike, outline
from client.data.workers.wire import Answer

MOST_BYTES = 1 << 26
"""A file that is larger is hashed piece by piece instead of being read as a whole."""


@cache
def _reader() -> Reader:
    """This worker's own, which keeps the last archive open."""
    return Reader()


@cache
def _alike() -> Alike:
    return Alike()


def read_header(job: tuple[File, str]) -> Answer:
    """Read one file: [digest, uid, rows of its slices, reason].

    Args:
        job: the file, and the modality that is wanted.
    """
    file, modality = job
    if file.size == 0:
        return Answer(["", "", [], "empty file"])
    with quiet(), opened(file, _reader()) as stream:
        digest = ""
        try:
            if file.size > MOST_BYTES:
                digest = _digest(stream)
                uid, slices = read_slices(file, stream, modality)
            else:
                content = stream.read()
                digest = hashlib.sha256(content).hexdigest()
                uid, slices = _read(file, content, modality)
        except Unusable as reason:
            return Answer([digest, "", [], str(reason)])
        return Answer([digest, uid, [found.to_row() for found in slices], None])


def _read(file: File, content: bytes, modality: str) -> tuple[str, list[Slice]]:
    seen = outline(content)
    like = _alike().find(file, seen, len(content), modality) if seen is not None else None
    if seen is not None and like is not None:
        return seen.uid, [like]
    uid, slices = read_slices(file, io.BytesIO(content), modality)
    if seen is not None and seen.uid == uid:
        _alike().keep(seen, slices, modality)
    return uid, slices


def _digest(stream: IO[bytes]) -> str:
    found: Any = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]
    stream.seek(0)
    return str(found.hexdigest())
