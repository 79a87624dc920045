"""Reads WFDB annotation files in the MIT format: beats and changes of rhythm (annot(5) of the WFDB manual)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from client.data.signals.waveform import UnusableRecording

BEATS = dict(zip((*range(1, 14), 25, 30, 31, 34, 35, 38, 41), "NLRaVFJASEj/QB?!enfr", strict=True))
"""Code → symbol of what marks a heart beat."""
_NOTE, _RHYTHM = 22, 28
_SKIP, _NUMBER, _SUBTYPE, _CHANNEL, _TEXT = range(59, 64)
_RESOLUTION = re.compile(rb"## time resolution: ([0-9]{1,9}(?:\.[0-9]{1,9})?)")


@dataclass(frozen=True)
class Annotation:
    """One annotation.

    Attributes:
        seconds: after the record's start.
        code: what it marks.
        text: its note; of a change of rhythm "(" and the rhythm's name.
    """

    seconds: float
    code: int
    text: bytes = b""

    @property
    def beat(self) -> str | None:
        """The symbol of the beat; none: it marks no beat."""
        return BEATS.get(self.code)

    @property
    def rhythm(self) -> str | None:
        """The name of the rhythm that begins here; none: none does."""
        if self.code != _RHYTHM or not self.text.startswith(b"("):
            return None
        return self.text[1:].decode("ascii", "replace").strip()


def read_annotations(raw: bytes, rate: float) -> list[Annotation]:
    """Return the annotations of a file, in order of time.

    Args:
        raw: the file.
        rate: of the record's frames, a second; a file may state another for its own times.

    Raises:
        UnusableRecording: it is no such file.
    """
    stored = list(_stored(raw))
    notes = (text for code, _, text in stored[:8] if code == _NOTE)
    stated = next((float(found[1]) for found in map(_RESOLUTION.match, notes) if found), 0.0)
    ticks = stated or rate
    # Code 0 marks nothing: it only moves the place.
    found = [Annotation(place / ticks, code, text) for code, place, text in stored if code]
    return sorted(found, key=lambda each: each.seconds)


def _stored(raw: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield code, place and text of every annotation: words of a code (6 bits) and a step in time (10 bits)."""
    words = np.frombuffer(raw[: len(raw) // 2 * 2], "<u2").tolist()
    at, place = 0, 0
    last: tuple[int, int, bytes] | None = None
    while at < len(words) and words[at]:
        code, amount = words[at] >> 10, words[at] & 0x3FF
        at += 1
        if code == _SKIP:
            if at + 2 > len(words):
                raise UnusableRecording("the annotations are shorter than they say")
            place += ((words[at] << 16 | words[at + 1]) ^ 1 << 31) - (1 << 31)
            at += 2
        elif code == _TEXT:
            text = raw[2 * at : 2 * at + amount].split(b"\0")[0]
            at += (amount + 1) // 2
            last = last and (last[0], last[1], text)
        elif code not in (_NUMBER, _SUBTYPE, _CHANNEL):
            if last is not None:
                yield last
            place += amount
            last = code, place, b""
    if last is not None:
        yield last
