"""Finds many identifiers in bytes at once: every place is looked at, and a megabyte takes milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_KEY = 4  # the bytes by which a place is recognised first
SHORTEST = 4
SHORTEST_NUMBER = 6  # shorter numbers are in every log
_SECRET_KINDS = ("patient id", "patient name", "accession number")  # worth hashing
_LETTERS = np.zeros(256, np.bool_)
_LETTERS[[*b"0123456789abcdefghijklmnopqrstuvwxyz"]] = True


@dataclass(frozen=True)
class Identifier:
    """What must not be found.

    Attributes:
        kind: such as "patient id"; said in reports.
        value: the identifier itself; never said.
    """

    kind: str
    value: str = field(repr=False)


class Needles:
    """Identifiers, in the forms in which they could be written.

    Args:
        identifiers: what to look for: as they are in UTF-8, Latin-1 and UTF-16, in any case, and as their unkeyed
            MD5, SHA-1 and SHA-256.

    Attributes:
        count: identifiers that are looked for.
        too_short: those that are not, since they would be found everywhere.
        longest: bytes of the longest form.
    """

    def __init__(self, identifiers: Iterable[Identifier]) -> None:
        self.count = 0
        self.too_short = 0
        self.longest = _KEY
        self._forms: dict[bytes, list[tuple[bytes, str, bool]]] = {}
        for each in set(identifiers):
            value = each.value.strip()
            least = SHORTEST_NUMBER if value.isdigit() else SHORTEST
            if len(value) < least:
                self.too_short += bool(value)
                continue
            self.count += 1
            for form, kind, whole in _forms(each.kind, value):
                self._forms.setdefault(form[:_KEY], []).append((form, kind, whole))
                self.longest = max(self.longest, len(form))
        self._keys = np.sort(
            np.array([int.from_bytes(key, "little") for key in self._forms], "<u4")
        )
        self._low, self._high = np.zeros(1 << 16, np.bool_), np.zeros(1 << 16, np.bool_)
        self._low[self._keys & 0xFFFF] = True
        self._high[self._keys >> 16] = True

    def find(self, content: bytes) -> Iterator[tuple[int, str]]:
        """Yield (offset, kind) of every identifier in some bytes."""
        content = content.lower()
        for place in self._candidates(content):
            for form, kind, whole in self._forms.get(content[place : place + _KEY], ()):
                if content.startswith(form, place) and not (
                    whole and _inside_a_word(content, place, place + len(form))
                ):
                    yield int(place), kind

    def _candidates(self, content: bytes) -> NDArray[np.int64]:
        if len(content) < _KEY or not len(self._keys):
            return np.zeros(0, np.int64)
        raw = np.frombuffer(content, np.uint8)
        pairs = raw[:-1].astype(np.uint16) | raw[1:].astype(np.uint16) << np.uint16(8)
        low, high = pairs[:-2], pairs[2:]
        likely = np.flatnonzero(self._low[low] & self._high[high])
        whole = low[likely].astype(np.uint32) | high[likely].astype(np.uint32) << np.uint32(16)
        found: NDArray[np.int64] = likely[np.isin(whole, self._keys)]
        return found


def _forms(kind: str, value: str) -> Iterator[tuple[bytes, str, bool]]:
    """Yield (bytes in lower case, kind, whether it must be a whole word)."""
    written = {value.encode("utf-8", "replace").lower(), value.encode("latin-1", "replace").lower()}
    for form in written:
        yield form, kind, True
    if kind not in _SECRET_KINDS:
        return
    yield value.lower().encode("utf-16-le", "replace"), f"{kind} in UTF-16", False
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, value.encode(), usedforsecurity=False).hexdigest()
        yield digest.encode(), f"unkeyed {name.upper()} of a {kind}", False


def _inside_a_word(content: bytes, start: int, end: int) -> bool:
    before = start > 0 and bool(_LETTERS[content[start - 1]])
    return before or (end < len(content) and bool(_LETTERS[content[end]]))
