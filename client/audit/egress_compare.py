"""Compares an egress log with its ledger: all that left was charged, and all that was charged as left is in the log.

A site reserves the charge, then notes in the log what is about to leave, then settles the charge for the very bytes.
So a crash in between leaves an entry whose charge is open, which counts in full; never a settlement without an entry.
The settlement names the log's newest entry, whose hash covers all before it: a log that was cut or changed shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from client.guard.book import Book, Reservation, Settlement
from client.guard.egress_log import Release
from client.guard.entries import Entry

CHARGED_AS: Mapping[str, str] = {"weights": "training", "statistics": "statistics"}
"""Which charge a part of a reply needs, by the last word of its key in the ledger."""


@dataclass
class Charged:
    """What a ledger says, by the key of each release.

    Attributes:
        book: the ledger, as far as it was read.
        keys: the ledger's keys, by release and by what is charged.
        made_good: studies and rounds that were charged anew, in full, after the ledger was lost and restored.
    """

    book: Book = field(default_factory=Book)
    keys: dict[str, dict[str, str]] = field(default_factory=dict)
    made_good: set[tuple[str, int]] = field(default_factory=set)

    def apply(self, entry: Entry) -> None:
        """Read the next entry."""
        self.book.apply(entry)
        if entry.kind == "reserve":
            release, _, what = str(entry.body["key"]).rpartition("/")
            self.keys.setdefault(release, {})[what] = entry.body["key"]
            if release.startswith("restored/"):
                self.made_good.add((entry.body["fingerprint"], entry.body["round"]))

    def charges(self, release: str) -> dict[str, tuple[Reservation, Settlement | None]]:
        """The charges of a release with how they ended, by what is charged."""
        found = {}
        for what, key in self.keys.get(release, {}).items():
            made = self.book.reservation(key)
            if made is not None:
                found[what] = (made, self.book.settlement(key))
        return found


def compare(charged: Charged, left: Iterable[tuple[int, Release]], known: int) -> tuple[str, ...]:
    """Return every contradiction between a ledger and a log that both hold together.

    Args:
        charged: the ledger.
        left: the log's replies that left, with the numbers of their entries.
        known: entries of the log that were there before the ledger was read; later ones may be charged since.
    """
    entries = list(left)
    found = [
        f"Entry {seq}: {said}"
        for seq, release in entries
        if seq <= known
        and (release.fingerprint, release.round) not in charged.made_good
        and (said := _uncharged(release, charged.charges(release.key)))
    ]
    logged = {(release.key, release.sha256) for _, release in entries}
    return (*found, *_unlogged(charged, logged))


def cut(charged: Charged, hashes: Mapping[int, str]) -> tuple[str, ...]:
    """Return how a log differs from what its ledger remembers of it.

    Args:
        charged: the ledger.
        hashes: of the log's entries, by number.
    """
    lost = [
        (seq, mark)
        for seq, mark in charged.book.marks.items()
        if hashes.get(mark.entries) != mark.head
    ]
    if not lost:
        return ()
    (seq, mark), more = lost[0], len(lost) - 1
    what = (
        f"ends at entry {len(hashes)}: its newest entries were cut off, or an older copy was put back"
        if mark.entries > len(hashes)
        else f"has another entry {mark.entries} now: it was written anew from there, or from before"
    )
    others = f" ({more} later settlements say the same)" if more else ""
    return (
        f"Ledger entry {seq} was settled when the log had {mark.entries} entries, and the log {what}{others}.",
    )


def in_doubt(charged: Charged, left: Iterable[Release]) -> int:
    """How many releases are in the log while their charge is open: they count in full, and may not have left."""
    keys = {release.key for release in left}
    charges = [charged.charges(key) for key in keys]
    return sum(any(end is None for _, end in each.values()) for each in charges)


def _uncharged(
    release: Release, charges: Mapping[str, tuple[Reservation, Settlement | None]]
) -> str:
    """Why the ledger does not cover what left; empty when it does."""
    missing = [part for part in release.parts if CHARGED_AS.get(part, part) not in charges]
    if missing:
        return f"{' and '.join(missing)} of round {release.round} left, and the ledger has no charge for it."
    for made, end in charges.values():
        if (made.fingerprint, made.round) != (release.fingerprint, release.round):
            return f"the ledger charges another study or round than {release.round} for it."
        if end is not None and end.released != release.sha256:
            what = "nothing" if end.released is None else "other bytes"
            return f"bytes of round {release.round} left, and the ledger was settled for {what}."
    return ""


def _unlogged(charged: Charged, logged: set[tuple[str, str]]) -> Iterable[str]:
    for release in charged.keys:
        for what, (made, end) in charged.charges(release).items():
            if end is not None and end.released and (release, end.released) not in logged:
                yield (
                    f"Ledger entry {made.seq}: {what} of round {made.round} of '{made.study}' was settled as sent, and "
                    "the log has no entry for it."
                )
