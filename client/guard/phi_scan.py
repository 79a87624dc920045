"""Looks for identifiers of patients in everything that could leave: logs, metrics, reports, checkpoints, egress log."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from client.guard.needles import Needles

CHUNK = 1 << 20
MAX_UNPACKED = 1 << 30
MAX_HITS = 1000


@dataclass(frozen=True)
class Hit:
    """An identifier that was found; it is not repeated here.

    Attributes:
        file: where; a member of an archive follows after "!".
        offset: byte in it; -1: in its name.
        kind: of the identifier.
    """

    file: str
    offset: int
    kind: str


@dataclass
class Scan:
    """What was looked through.

    Attributes:
        files, bytes: looked through.
        identifiers, too_short: looked for, and not.
        hits: found, the first thousand.
        unread: files that could not be read.
    """

    files: int = 0
    bytes: int = 0
    identifiers: int = 0
    too_short: int = 0
    hits: list[Hit] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def scan(paths: Iterable[Path], needles: Needles, *, besides: Sequence[Path] = ()) -> Scan:
    """Look through files and folders.

    Args:
        paths: where; links are not followed.
        needles: what must not be found.
        besides: files and folders that may hold identifiers and are left out.
    """
    done = Scan(identifiers=needles.count, too_short=needles.too_short)
    spared = {path.resolve() for path in besides}
    for root in paths:
        for path in _files(root, spared):
            name = str(path.relative_to(root.parent))
            done.files += 1
            _add(done, [Hit(name, -1, kind) for _, kind in needles.find(os.fsencode(name))])
            try:
                for label, stream in _streams(path, name):
                    _read(done, label, stream, needles)
            except (OSError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
                done.unread.append(name)
    return done


def _files(root: Path, spared: set[Path]) -> Iterator[Path]:
    if root.is_symlink() or root.resolve() in spared:
        return
    if root.is_dir():
        for each in sorted(root.iterdir()):
            yield from _files(each, spared)
    elif root.is_file():
        yield root


def _streams(path: Path, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the file, and what is packed in it."""
    with path.open("rb") as plain:
        start = plain.read(4)
        plain.seek(0)
        yield name, plain
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path, "rb") as unpacked:
            yield f"{name}!", io.BufferedReader(unpacked)
    elif start == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as inner:
                    yield f"{name}!{member.filename}", inner


def _read(done: Scan, name: str, stream: IO[bytes], needles: Needles) -> None:
    """Look through a stream in pieces that overlap by the longest identifier and the letters round it."""
    overlap, before, position = needles.longest + 2, b"", 0
    seen: set[tuple[int, str]] = set()
    while position < MAX_UNPACKED and (chunk := stream.read(CHUNK)):
        piece = before + chunk
        start = position - len(before)
        found = {(start + place, kind) for place, kind in needles.find(piece)}
        _add(done, [Hit(name, place, kind) for place, kind in sorted(found - seen)])
        seen = found
        before = piece[-overlap:]
        position += len(chunk)
    done.bytes += position


def _add(done: Scan, hits: Sequence[Hit]) -> None:
    done.hits += hits[: max(0, MAX_HITS - len(done.hits))]
