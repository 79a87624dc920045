"""Takes the one part out of a multipart answer while it streams: no image is held in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from email.message import Message
from typing import IO

from client.data.pacs.server import Lost

_MOST_HEADER = 1 << 16
_BLANK_LINE = b"\r\n\r\n"


def write_part(content_type: str, chunks: Iterable[bytes], file: IO[bytes]) -> None:
    """Write the only part of an answer to a file; an answer that is no multipart is written as it is.

    Args:
        content_type: header of the answer.
        chunks: its body.
        file: open for reading and writing, empty.

    Raises:
        Lost: the answer ends before its last boundary, so that something is missing.
    """
    boundary = _boundary(content_type)
    if boundary is None:
        for chunk in chunks:
            file.write(chunk)
        return
    head = b""
    inside = False
    for chunk in chunks:
        if inside:
            file.write(chunk)
            continue
        head += chunk
        start = head.find(_BLANK_LINE)
        if start >= 0:
            inside = True
            file.write(head[start + len(_BLANK_LINE) :])
        elif len(head) > _MOST_HEADER:
            raise Lost("the answer is not what DICOMweb describes")
    _cut(file, b"\r\n--" + boundary)


def _boundary(content_type: str) -> bytes | None:
    message = Message()
    message["content-type"] = content_type
    if message.get_content_maintype() != "multipart":
        return None
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str):
        raise Lost("the answer is not what DICOMweb describes")
    return boundary.encode("ascii", "replace")


def _cut(file: IO[bytes], boundary: bytes) -> None:
    """Cut the file at the last boundary."""
    file.flush()
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - len(boundary) - 64)
    file.seek(start)
    place = file.read().rfind(boundary)
    if place < 0:
        raise Lost("the answer broke off")
    file.truncate(start + place)
