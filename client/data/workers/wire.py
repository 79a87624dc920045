"""What passes between this process and a worker: length-prefixed frames.

Towards the worker frames are pickled, because it trusts this process. Back they are JSON and plain numbers only:
a worker has read files that nobody vouches for, and must not be able to make this process run code.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q")
_KINDS = "fiub"
_PIECE = 1 << 20
LARGEST = 1 << 33
"""Bytes of one frame; a longer one is a worker gone mad."""


@dataclass(frozen=True)
class Answer:
    """What a worker made of one job.

    Attributes:
        value: plain data, as JSON knows it.
        arrays: numbers.
    """

    value: Any = None
    arrays: Sequence[NDArray[Any]] = ()


@dataclass(frozen=True)
class Refused:
    """A job that came to nothing; the reason is for people and names nobody."""

    reason: str


Outcome = Answer | Refused
UNREADABLE = Refused("cannot be read")
"""The disk or the network failed, not the file: it may go well another time."""


class Whole:
    """Reads exactly as many bytes as are asked for and none ahead, so that waiting on it tells the truth."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = cast(io.RawIOBase, raw)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._raw.fileno()

    def close(self) -> None:
        """Close the descriptor."""
        self._raw.close()

    def read(self, length: int) -> bytearray:
        """Read `length` bytes, fewer only at the end."""
        content, filled = bytearray(min(length, _PIECE)), 0
        while filled < length:
            if filled == len(content):  # what is announced is not believed before it comes
                content += bytes(min(length - filled, len(content)))
            with memoryview(content) as view:
                more = self._raw.readinto(view[filled:])
            if not more:
                break
            filled += more
        del content[filled:]
        return content


def write_frame(stream: IO[bytes], *parts: bytes | memoryview) -> None:
    """Write one frame."""
    stream.write(_LENGTH.pack(sum(len(part) for part in parts)))
    for part in parts:
        stream.write(part)
    stream.flush()


def read_frame(stream: Whole) -> bytearray:
    """Read one frame.

    Raises:
        EOFError: the other side ended.
    """
    head = stream.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else LARGEST + 1
    if length > LARGEST:
        raise EOFError
    content = stream.read(length)
    if len(content) != length:
        raise EOFError
    return content


def write_outcome(stream: IO[bytes], outcome: Outcome) -> None:
    """Write what became of a job, from the worker's side."""
    if isinstance(outcome, Refused):
        write_frame(stream, json.dumps({"refused": outcome.reason}).encode() + b"\n")
        return
    arrays = [np.ascontiguousarray(array) for array in outcome.arrays]
    shapes = [[array.dtype.str, array.shape] for array in arrays]
    head = json.dumps({"value": outcome.value, "arrays": shapes}).encode() + b"\n"
    write_frame(stream, head, *[array.reshape(-1).view(np.uint8).data for array in arrays])


def read_outcome(stream: Whole) -> Outcome:
    """Read what became of a job.

    Raises:
        EOFError: the worker ended, or what it wrote cannot be understood.
    """
    content = read_frame(stream)
    try:
        end = content.index(b"\n")
        said = json.loads(content[:end])
        if "refused" in said:
            return Refused(str(said["refused"]))
        return Answer(said["value"], _arrays(content, end + 1, said["arrays"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise EOFError from None


def _arrays(content: bytearray, offset: int, shapes: Any) -> list[NDArray[Any]]:
    found = []
    for kind, shape in shapes:
        dtype = np.dtype(str(kind))
        if dtype.kind not in _KINDS:
            raise ValueError("not numbers")
        count = int(np.prod(shape, dtype=np.int64))
        found.append(np.frombuffer(content, dtype, count, offset).reshape(shape))
        offset += count * dtype.itemsize
    return found
