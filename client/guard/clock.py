"""Where the clock went backwards along a ledger. Times are for people; order comes from the chain alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from client.guard.entries import Entry


@dataclass(frozen=True)
class Setback:
    """An entry that bears an earlier time than the one before.

    Attributes:
        seq: its number.
        at: its time (UTC, ISO 8601).
        before: the time of the entry before.
    """

    seq: int
    at: str
    before: str

    def __str__(self) -> str:
        return f"entry {self.seq} says {self.at}, the one before {self.before}"


def setback(before: str, entry: Entry) -> list[Setback]:
    """Compare an entry with the time before it; times are UTC with a fixed width, so text orders them."""
    return [Setback(entry.seq, entry.at, before)] if entry.at < before else []


def backward_clock(entries: Iterable[Entry]) -> list[Setback]:
    """All places where the clock was set back."""
    found: list[Setback] = []
    before = ""
    for entry in entries:
        found += setback(before, entry)
        before = entry.at
    return found
