"""One part of a multipart answer, however it is cut into chunks."""

from __future__ import annotations

import io

import pytest

from client.data.pacs.multipart import write_part
from client.data.pacs.server import Lost

KIND = 'multipart/related; type="application/dicom"; boundary="the edge"'
BODY = b"\r\n--the edge is not here\r\n\r\n" + bytes(range(256)) * 40
ANSWER = b"--the edge\r\nContent-Type: application/dicom\r\n\r\n" + BODY + b"\r\n--the edge--\r\n"


def written(kind: str, answer: bytes, size: int) -> bytes:
    file = io.BytesIO()
    write_part(kind, [answer[i : i + size] for i in range(0, len(answer), size)], file)
    return file.getvalue()


@pytest.mark.parametrize("size", [1, 7, 50, 4096, 1 << 20])
def test_the_part_comes_out_whole(size: int) -> None:
    assert written(KIND, ANSWER, size) == BODY


def test_what_is_no_multipart_is_taken_as_it_is() -> None:
    assert written("application/dicom", BODY, 100) == BODY


@pytest.mark.parametrize("missing", [20, 1000, len(ANSWER) - 20])
def test_a_broken_answer_is_noticed(missing: int) -> None:
    with pytest.raises(Lost, match="broke off"):
        written(KIND, ANSWER[:-missing], 100)


def test_a_header_without_an_end() -> None:
    with pytest.raises(Lost, match="not what DICOMweb"):
        written(KIND, b"x" * (1 << 17), 1 << 12)
